// device_guard.hpp - makes a CUDA device the current one within a scope.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda_check.hpp"

namespace onepass::cuda {

/// Makes `index` the calling thread's current device; the destructor restores the previous one. Throws
/// CudaError.
class DeviceGuard {
 public:
  explicit DeviceGuard(int index) : index_(index) {
    kernels::check(cudaGetDevice(&previous_), "cudaGetDevice");
    if (previous_ != index_) kernels::check(cudaSetDevice(index_), "cudaSetDevice");
  }
  ~DeviceGuard() {
    if (previous_ != index_) (void)cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int index_;
  int previous_ = 0;
};

}  // namespace onepass::cuda
