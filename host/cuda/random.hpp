// random.hpp - launches the random kernels on a device given by its number. random.cpp implements it, or
// absent_random.cpp if onepass is built without CUDA.
#pragma once

#include "onepass/stream.hpp"
#include "step/random_jobs.hpp"

namespace onepass::cuda {

/// These functions call those of the same names in kernels/random/random_kernels.hpp. They throw CudaError,
/// or InvalidArgument if there is no such device.
void fill(int index, const step::FillJob& job, Stream stream);
int dropout_blocks(int index);
void dropout(int index, const step::DropoutJob& job, int resident_blocks, Stream stream);
void advance(int index, RandomPosition* state, Stream stream);
void write(int index, RandomPosition* state, RandomPosition position, Stream stream);

}  // namespace onepass::cuda
