// library_work.hpp - lets a stand-in library (cuBLAS) work in stream order on emulated memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cuda_emulator {

enum class Use : std::uint8_t { read, write, update };

/// Device memory: `height` rows of `width` bytes, `pitch` bytes apart.
struct Range {
  std::uint64_t address = 0;
  std::uint64_t width = 0;
  std::uint64_t height = 1;
  std::uint64_t pitch = 0;
  Use use = Use::read;
};

/// Work of a library. The emulator checks each range like an access of a kernel. If all are good, it calls
/// `work` with a pointer to the first byte of each range.
struct LibraryTask {
  std::string name;
  std::vector<Range> ranges;
  std::function<void(const std::vector<char*>& ranges)> work;
};

}  // namespace cuda_emulator

extern "C" cudaError_t cuda_emulator_submit(cudaStream_t stream, const cuda_emulator::LibraryTask* task);
