// kernel_work.hpp - how much work a kernel is, counted by cuda_emulator.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cuda_emulator/machine/counts.hpp"
#include "support/work/work_step.hpp"

namespace onepass::test {

/// Whether the CUDA runtime of this process is the emulator.
bool work_is_counted();

/// What `work` launches, by kernel, until all of it has run.
using KernelCounts = std::map<std::string, cuda_emulator_counts>;
KernelCounts count_kernels(const std::function<void()>& work);

/// What the kernel whose name contains `kernel`, which a step launches once, does in a step of `numel`
/// elements.
struct CountedKernel {
  cuda_emulator_counts counts;
  double traffic;  ///< Of Optimizer::traffic(), for each element.
};
CountedKernel count_step(const WorkStep& step, std::int64_t numel, const std::string& kernel);

/// Work of one kernel in a step. Each element's is the difference between two steps of one chunk of which one
/// has more elements, so that it is exact, and what is paid once a chunk stands apart.
struct KernelWork {
  double instructions, divisions, roots;  ///< Of PTX, for each element.
  double bytes_read, bytes_written;       ///< For each element, as accessed.
  double read_sectors, write_sectors;     ///< Of 32 bytes, for each element: memory transactions.
  double local_accesses;                  ///< For each element.
  double chunk_instructions;              ///< Once a chunk, of all threads of its block.
  double chunk_sectors, chunk_bytes;      ///< Once a chunk, from table and coefficients.
  double traffic;                         ///< Of Optimizer::traffic(), for each element.

  [[nodiscard]] double bytes() const { return bytes_read + bytes_written; }
};
KernelWork work_of(const WorkStep& step, const std::string& kernel = kUpdateKernel);

/// The same of the kernel whose name contains `kernel`, which what `prepared` returns launches once, for so
/// many elements. Without traffic.
using Prepared = std::function<std::function<void()>(std::int64_t numel)>;
KernelWork work_of(const Prepared& prepared, const std::string& kernel);

}  // namespace onepass::test
