// library_work.hpp - how a stand-in library (cuBLAS) does its work in stream order on emulated memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cuda_emulator {

enum class Use : std::uint8_t { read, write, update };

/// `height` rows of `width` bytes, `pitch` bytes apart, of device memory.
struct Range {
  std::uint64_t address = 0;
  std::uint64_t width = 0;
  std::uint64_t height = 1;
  std::uint64_t pitch = 0;
  Use use = Use::read;
};

/// Work of a library. Each range is checked like an access of a kernel; if all are good, `work` is given
/// the place of the first byte of each.
struct LibraryTask {
  std::string name;
  std::vector<Range> ranges;
  std::function<void(const std::vector<char*>& ranges)> work;
};

}  // namespace cuda_emulator

extern "C" cudaError_t cuda_emulator_submit(cudaStream_t stream, const cuda_emulator::LibraryTask* task);
