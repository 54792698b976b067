// random_kernels.hpp - the kernels that draw random bits, as the host sees them.
#pragma once

#include "onepass/stream.hpp"
#include "step/random_jobs.hpp"

namespace onepass::kernels {

using namespace step;

/// Fills. One launch on the current device, asynchronous on the stream. Throws CudaError.
void fill(const FillJob& job, Stream stream);

/// Blocks of dropout that fit on the current device at once; loads the kernels below. Throws CudaError.
int dropout_blocks();

/// One launch of at most `resident_blocks`, asynchronous on the stream. Throws CudaError.
void dropout(const DropoutJob& job, int resident_blocks, Stream stream);

/// Adds 1 to the offset; writes both. One launch each, asynchronous on the stream. Throws CudaError.
void advance(RandomPosition* state, Stream stream);
void write(RandomPosition* state, RandomPosition position, Stream stream);

}  // namespace onepass::kernels
