// cuda_check.hpp - check(), through which every call of the CUDA runtime goes.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "onepass/error.hpp"

namespace onepass::kernels {

/// Throws CudaError, naming the call, the device and the reason, unless the call succeeded.
inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // a failed launch would be reported again by the next one
  int device = -1;
  (void)cudaGetDevice(&device);
  throw CudaError("onepass: " + std::string(call) + " failed on cuda:" + std::to_string(device) + ": " +
                  cudaGetErrorName(status) + " (" + cudaGetErrorString(status) + ")");
}

}  // namespace onepass::kernels
