// last_block.cuh - finds out which thread block of a launch is the last to finish.
#pragma once

#include <cstdint>

namespace onepass::kernels {

/// Returns true in every thread of the last thread block of the grid that calls this, and false in all
/// others. All writes of the other thread blocks before their call are then visible. `count` must be 0 before
/// the launch and is 0 again after it.
__device__ inline bool is_last_block(std::uint32_t& count) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&count, 1u) == gridDim.x - 1;
    if (last) count = 0;
    __threadfence();
  }
  __syncthreads();
  return last;
}

}  // namespace onepass::kernels
