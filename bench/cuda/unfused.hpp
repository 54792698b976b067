// unfused.hpp - cuBLAS and Thrust functions for the passes of an unfused step on a GPU.
#pragma once

#include <memory>

#include "bench/baselines/unfused.hpp"

namespace onepass::bench {

/// Returns cuBLAS's scal and axpy, asynchronous on the default stream of the current device. Throws CudaError
/// if cuBLAS fails.
std::unique_ptr<Blas> cu_blas();

/// Returns passes made of thrust::transform for the operations that BLAS does not have, also asynchronous.
const Passes& thrust_passes();

}  // namespace onepass::bench
