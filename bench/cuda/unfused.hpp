// unfused.hpp - what the passes of an unfused step are made of on a GPU: cuBLAS and Thrust.
#pragma once

#include <memory>

#include "bench/baselines/unfused.hpp"

namespace onepass::bench {

/// scal and axpy of cuBLAS on the default stream of the current device, asynchronous. Throws CudaError where
/// cuBLAS does.
std::unique_ptr<Blas> cu_blas();

/// thrust::transform for what BLAS does not have, as asynchronous.
const Passes& thrust_passes();

}  // namespace onepass::bench
