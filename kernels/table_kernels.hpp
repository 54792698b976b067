// table_kernels.hpp - small kernels on the table itself and on loss scales, the same for every rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/stream.hpp"
#include "step/shard_measure.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Returns how many thread blocks of zero_grad fit on the current device at once. Loads all kernels here.
/// Throws CudaError.
int zero_grad_blocks();

/// Writes zeros to every gradient that is not null. One launch, asynchronous on the stream. Throws CudaError.
void zero_grad(const Table& table, int resident_blocks, Stream stream);

/// Returns how many thread blocks of start_streams fit on the current device at once. Throws CudaError.
int start_blocks();

/// Copies the parameters to the streams that begin as the parameter (step/start.hpp), for all tensors from
/// number `first` on. One launch, asynchronous on the stream. Throws CudaError.
void start_streams(const Table& table, std::uint32_t first, int resident_blocks, Stream stream);

/// Writes a multiple of 8 bytes to device memory aligned to 8. The bytes travel in the launch's arguments:
/// the call does not wait, the caller may reuse its memory at once, and a captured graph keeps them. One
/// launch for every 4,000 bytes. Throws CudaError.
void write_bytes(void* to, std::span<const std::byte> bytes, Stream stream);

/// Calls give_measure() or take_measure() on the device. One launch, asynchronous on the stream. Throws
/// CudaError.
void give_measure(const Table& table, const ShardMeasure& to, Stream stream);
void take_measure(const Table& table, const ShardMeasure& from, Stream stream);
/// Calls give_sums() or take_sums() on the device, as above.
void give_sums(const Table& table, std::int64_t* words, Stream stream);
void take_sums(const Table& table, const std::int64_t* words, Stream stream);

/// Ends a round: calls end_round_of_groups() and end_round() on the device. One launch, asynchronous on the
/// stream. Throws CudaError.
void end_round(const Table& table, Stream stream);

/// Calls update_shared_scale() on the device. One launch, asynchronous on the stream. Throws CudaError.
void update_scale(SharedScale* shared, Stream stream);

}  // namespace onepass::kernels
