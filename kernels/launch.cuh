// launch.cuh - the only place that launches a kernel, and the only one that decides how many blocks there
// are.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda_check.hpp"

namespace onepass::kernels {

/// Grid, block and stream of a launch. No kernel of this library uses dynamic shared memory.
struct LaunchConfig {
  unsigned blocks;
  unsigned threads;
  cudaStream_t stream;
};

/// Launches and checks. Asynchronous on config.stream.
template <class... Param>
void launch(void (*kernel)(Param...), const LaunchConfig& config, const Param&... args) {
  cudaLaunchConfig_t cuda_config{};
  cuda_config.gridDim = dim3(config.blocks);
  cuda_config.blockDim = dim3(config.threads);
  cuda_config.stream = config.stream;
  check(cudaLaunchKernelEx(&cuda_config, kernel, args...), "cudaLaunchKernelEx");
}

/// How many blocks of the kernel the current device holds at once. Loads the kernel, so that a step that is
/// captured need not.
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

/// Blocks for `work` independent pieces, at most `most`; a kernel strides over what is left. Never 0.
inline unsigned blocks_for(std::int64_t work, std::int64_t most) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(work, 1, std::max<std::int64_t>(most, 1)));
}

}  // namespace onepass::kernels
