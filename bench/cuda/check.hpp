// check.hpp - turns the error of a failed CUDA call into an exception.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "onepass/error.hpp"

namespace onepass::bench {

/// Throws a CudaError that names `call` unless `error` is cudaSuccess.
inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) {
    throw CudaError(std::string("onepass_bench: ") + call + ": " + cudaGetErrorString(error));
  }
}

}  // namespace onepass::bench
