// launch.cuh - the only place that launches kernels and decides how many thread blocks a launch has.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda_check.hpp"

namespace onepass::kernels {

/// Thread blocks, threads of each, and CUDA stream of a launch. No kernel of this library uses dynamic shared
/// memory.
struct LaunchConfig {
  unsigned blocks;
  unsigned threads;
  cudaStream_t stream;
};

/// Launches the kernel and checks that the launch succeeded. Asynchronous on config.stream.
template <class... Param>
void launch(void (*kernel)(Param...), const LaunchConfig& config, const Param&... args) {
  cudaLaunchConfig_t cuda_config{};
  cuda_config.gridDim = dim3(config.blocks);
  cuda_config.blockDim = dim3(config.threads);
  cuda_config.stream = config.stream;
  check(cudaLaunchKernelEx(&cuda_config, kernel, args...), "cudaLaunchKernelEx");
}

/// Returns how many thread blocks of the kernel the current device holds at once. Loads the kernel, so that a
/// step under capture need not.
template <class... Param>
int resident_blocks(void (*kernel)(Param...), int threads) {
  int device = 0;
  int processors = 0;
  int blocks_each = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks_each, kernel, threads, 0),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return processors * std::max(blocks_each, 1);
}

/// Returns the number of thread blocks for `work` independent units: one each, but at most `most` and at
/// least 1. With fewer thread blocks than units, the kernel strides.
inline unsigned blocks_for(std::int64_t work, std::int64_t most) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(work, 1, std::max<std::int64_t>(most, 1)));
}

}  // namespace onepass::kernels
