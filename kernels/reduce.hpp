// reduce.hpp - reductions over all gradients or parameters: norms, finiteness, the penalty.
#pragma once

#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// How many thread blocks of a reduction fit on a device at once.
struct ReduceBlocks {
  int usual;
  int exact;  ///< Of a measure that is_exact().
};

/// Returns them for the current device. Loads the kernels. Throws CudaError.
ReduceBlocks reduce_blocks();

/// Adds the measure that the table's settings name, over every gradient that is not null, to `gradients` in
/// the table's control. Adds nothing if the settings ask for no measure. `norm` says whether it is exact: a
/// captured graph keeps that. One launch, asynchronous on the
/// stream. Throws CudaError.
void reduce_gradients(const Table& table, Measure norm, const ReduceBlocks& resident, Stream stream);

/// Adds Measure::largest over every incoming gradient that is not null to `gradients` in the table's control,
/// for its first_nonfinite. One launch, asynchronous on the stream. Throws CudaError.
void find_nonfinite(const Table& table, const ReduceBlocks& resident, Stream stream);

/// Adds Measure::penalty over every parameter to `penalty` in the table's control, which must hold
/// Reduction::none(). One launch, asynchronous on the stream. Throws CudaError.
void reduce_penalty(const Table& table, const ReduceBlocks& resident, Stream stream);

}  // namespace onepass::kernels
