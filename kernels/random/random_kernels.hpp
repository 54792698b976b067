// random_kernels.hpp - the host's interface to the kernels that draw random bits.
#pragma once

#include "onepass/stream.hpp"
#include "step/random_jobs.hpp"

namespace onepass::kernels {

using namespace step;

/// Fills elements from a distribution. One launch on the current device, asynchronous on the stream. Throws
/// CudaError.
void fill(const FillJob& job, Stream stream);

/// Returns how many thread blocks of dropout fit on the current device at once. Loads the kernels of the
/// functions below. Throws CudaError.
int dropout_blocks();

/// Applies dropout. One launch of at most `resident_blocks` thread blocks, asynchronous on the stream. Throws
/// CudaError.
void dropout(const DropoutJob& job, int resident_blocks, Stream stream);

/// Adds 1 to the offset. One launch, asynchronous on the stream. Throws CudaError.
void advance(RandomPosition* state, Stream stream);

/// Writes seed and offset. One launch, asynchronous on the stream. Throws CudaError.
void write(RandomPosition* state, RandomPosition position, Stream stream);

}  // namespace onepass::kernels
