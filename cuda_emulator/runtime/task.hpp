// task.hpp - a unit of work for the device. Streams queue tasks, and graph nodes hold them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "machine/launch.hpp"
#include "runtime/library_work.hpp"

namespace cuda_emulator {

struct Kernel;

struct KernelTask {
  Kernel* kernel = nullptr;
  Dim3 grid;
  Dim3 block;
  std::uint32_t dynamic_shared = 0;
  std::vector<char> parameters;
};

/// Copies `height` rows of `width` bytes. A plain copy has one row.
struct CopyTask {
  std::uint64_t to = 0;
  std::uint64_t from = 0;
  std::uint64_t width = 0;
  std::uint64_t height = 1;
  std::uint64_t to_pitch = 0;
  std::uint64_t from_pitch = 0;
  /// Contents of a pageable source, read when the copy was requested. Null for other sources.
  std::shared_ptr<const std::vector<char>> taken = nullptr;
};

struct FillTask {
  std::uint64_t to = 0;
  std::uint32_t value = 0;
  std::uint32_t element_bytes = 1;
  std::uint64_t width = 0;  ///< Bytes per row.
  std::uint64_t height = 1;
  std::uint64_t pitch = 0;
};

struct AllocateTask {
  Allocation* allocation = nullptr;
};
struct FreeTask {
  Allocation* allocation = nullptr;
};
struct HostTask {
  cudaHostFn_t function = nullptr;
  void* argument = nullptr;
};
struct EmptyTask {};

using Task =
    std::variant<EmptyTask, KernelTask, CopyTask, FillTask, AllocateTask, FreeTask, HostTask, LibraryTask>;

}  // namespace cuda_emulator
