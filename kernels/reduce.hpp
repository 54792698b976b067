// reduce.hpp - measures of all gradients or parameters: norms, finiteness, the penalty.
#pragma once

#include "kernels/table.hpp"
#include "onepass/stream.hpp"

namespace onepass::kernels {

/// Blocks of a reduction that fit on the current device at once; loads the kernels. Throws CudaError.
int reduce_blocks();

/// Adds the measure of every gradient that is there (of every parameter, for Measure::penalty) to `result`,
/// which lies on the device and holds Reduction::none() before. One launch, asynchronous on the stream.
/// Throws CudaError.
void reduce(const Table& table, Measure measure, Reduction* result, int resident_blocks, Stream stream);

}  // namespace onepass::kernels
