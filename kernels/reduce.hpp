// reduce.hpp - measures of all gradients or parameters: norms, finiteness, the penalty.
#pragma once

#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Blocks of a reduction that fit on the current device at once; loads the kernels. Throws CudaError.
int reduce_blocks();

/// Adds what the table's settings ask for, of every gradient that is there, to its control's `gradients`;
/// nothing if they do not measure. One launch, asynchronous on the stream. Throws CudaError.
void reduce_gradients(const Table& table, int resident_blocks, Stream stream);

/// The same with Measure::penalty, of every parameter, to `penalty`, which holds Reduction::none() before.
void reduce_penalty(const Table& table, int resident_blocks, Stream stream);

}  // namespace onepass::kernels
