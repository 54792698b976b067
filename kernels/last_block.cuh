// last_block.cuh - how the blocks of one launch agree on which of them is the last.
#pragma once

#include <cstdint>

namespace onepass::kernels {

/// True in one block of the grid, the last that asks, in every thread of it; what the other blocks wrote
/// before is then visible. `count` is 0 before the launch and after it.
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
