// accumulate.hpp - gradients of micro-batches, added up until the step.
#pragma once

#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Blocks of accumulate that fit on the current device at once; loads the kernel. Throws CudaError.
int accumulate_blocks();

/// Adds the incoming gradients, those that are there, to `grads`; the first after a step is copied there.
/// Leaves zeros behind where the settings say so. One launch, asynchronous on the stream. Throws CudaError.
void accumulate(const Table& table, int resident_blocks, Stream stream);

}  // namespace onepass::kernels
