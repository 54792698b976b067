// accumulate.cu - adds up the gradients of micro-batches in float32 until the step.
#include "kernels/accumulate.hpp"

#include <cstdint>

#include "kernels/lanes.cuh"
#include "kernels/last_block.cuh"
#include "kernels/launch.cuh"
#include "step/by_dtype.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"

namespace onepass::kernels {

namespace {

constexpr int kThreads = 256;

/// Accumulates one chunk with one thread block. The first micro-batch is copied, so that the sum need be
/// neither read nor zeroed; a weight of 1 leaves even the bits of a NaN.
template <class Codec>
__device__ void accumulate_as(const Table& table, const Chunk& chunk, float weight) {
  const Extent part = chunk.extent();
  auto* const incoming = global<typename Codec::Element>(table.incoming[chunk.tensor]) + part.begin;
  auto* const sum = global<float>(table.grads[chunk.tensor]) + part.begin;
  const Access from = widest(incoming), to = widest(sum);
  const bool first = table.accumulated[chunk.tensor] == 0;
  const bool zeroes = table.control->settings.zeroes_gradients != 0;
  for (std::int64_t i = kLanes * static_cast<std::int64_t>(threadIdx.x); i < part.count;
       i += kLanes * kThreads) {
    const int lanes = part.count - i < kLanes ? static_cast<int>(part.count - i) : kLanes;
    float grad[kLanes];
    float total[kLanes];
    if (weight != 0.0f) {
      load<Codec>(grad, incoming + i, lanes, from);
      if (!first) {
        load<storage::Float32>(total, sum + i, lanes, to);
#pragma unroll
        for (int lane = 0; lane < kLanes; ++lane) grad[lane] = lane::fma(weight, grad[lane], total[lane]);
      } else if (weight != 1.0f) {
#pragma unroll
        for (int lane = 0; lane < kLanes; ++lane) grad[lane] = weight * grad[lane];
      }
      store<storage::Float32>(sum + i, grad, lanes, to);
    }
    if (zeroes) store_zeros<Codec>(incoming + i, lanes, from);
  }
}

/// Thread blocks of kThreads threads stride over the chunks; any grid size works. The last thread block to
/// finish counts the micro-batch, because by then no other reads the counts.
__global__ void __launch_bounds__(kThreads) accumulate_kernel(const Table table, const MicroBatch batch) {
  const float factor = factor_of(table, batch);
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    if (table.incoming[chunk.tensor] == nullptr) continue;
    by_dtype(table.tensors[chunk.tensor].incoming_type,
             [&](auto codec) { accumulate_as<decltype(codec)>(table, chunk, factor); });
  }
  if (is_last_block(table.control->blocks_done))
    count_micro_batch(table, batch, factor, threadIdx.x, kThreads);
}

}  // namespace

int accumulate_blocks() { return resident_blocks(accumulate_kernel, kThreads); }

void accumulate(const Table& table, const MicroBatch& batch, int resident, Stream stream) {
  launch(accumulate_kernel, {blocks_for(table.chunk_count, resident), kThreads, stream.handle()}, table,
         batch);
}

}  // namespace onepass::kernels
