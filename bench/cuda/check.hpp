// check.hpp - turns a CUDA call that failed into an exception.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "onepass/error.hpp"

namespace onepass::bench {

/// Throws CudaError that names `call`.
inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) {
    throw CudaError(std::string("onepass_bench: ") + call + ": " + cudaGetErrorString(error));
  }
}

}  // namespace onepass::bench
