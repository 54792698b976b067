// kernel_work.hpp - counts the work of a kernel with cuda_emulator.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cuda_emulator/machine/counts.hpp"
#include "support/work/work_step.hpp"

namespace onepass::test {

/// Returns true if the CUDA runtime of this process is the emulator, which can count.
bool work_is_counted();

/// Runs `work`, waits until the device is idle, and returns the counts of every kernel that `work` launched.
using KernelCounts = std::map<std::string, cuda_emulator_counts>;
KernelCounts count_kernels(const std::function<void()>& work);

/// Counts the work, in a step of `numel` elements, of the kernel whose name contains `kernel`. A step must
/// launch it exactly once.
struct CountedKernel {
  cuda_emulator_counts counts;
  double traffic;  ///< Bytes of Optimizer::traffic(), per element.
};
CountedKernel count_step(const WorkStep& step, std::int64_t numel, const std::string& kernel);

/// Work of one kernel in a step. The work per element comes from the difference between two steps of one
/// chunk with different numbers of elements: it is exact, and excludes the work that is done once per chunk,
/// which has members of its own.
struct KernelWork {
  double instructions, divisions, roots;  ///< PTX instructions per element.
  double bytes_read, bytes_written;       ///< Bytes accessed per element.
  double read_sectors, write_sectors;     ///< Memory transactions of 32 bytes per element.
  double local_accesses;                  ///< Accesses of local memory per element.
  double chunk_instructions;              ///< Instructions per chunk, of all threads of the thread block.
  double chunk_sectors, chunk_bytes;      ///< Sectors and bytes per chunk, from table and coefficients.
  double traffic;                         ///< Bytes of Optimizer::traffic(), per element.

  [[nodiscard]] double bytes() const { return bytes_read + bytes_written; }
};
KernelWork work_of(const WorkStep& step, const std::string& kernel = kUpdateKernel);

/// Work, without traffic, of the kernel whose name contains `kernel`. `prepared(numel)` must return a
/// function that launches this kernel exactly once, for `numel` elements.
using Prepared = std::function<std::function<void()>(std::int64_t numel)>;
KernelWork work_of(const Prepared& prepared, const std::string& kernel);

}  // namespace onepass::test
