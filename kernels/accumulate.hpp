// accumulate.hpp - adds up the gradients of micro-batches until the step.
#pragma once

#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Returns how many thread blocks of accumulate fit on the current device at once. Loads the kernel. Throws
/// CudaError.
int accumulate_blocks();

/// Adds the incoming gradients that are not null, times the micro-batch's weight, to `grads`; the first ones
/// after a step replace what is there. Overwrites the incoming gradients with zeros if the settings ask for
/// it. One launch, asynchronous on the stream. Throws CudaError.
void accumulate(const Table& table, const MicroBatch& batch, int resident_blocks, Stream stream);

}  // namespace onepass::kernels
