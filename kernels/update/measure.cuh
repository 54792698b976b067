// measure.cuh - the kernel for the sums over tensors or over the model that a rule takes before its update,
// in any format. It writes no stream.
#pragma once

#include <cstdint>

#include "kernels/exact_warp.cuh"
#include "kernels/update/any_format.cuh"
#include "onepass/rule/element.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The terms of a lane's tile, for each sum. A lane without an element has zeros.
template <int kTerms>
using TileTerms = float[kTerms][kAnyTile][1];

/// Computes the terms of a tile of `count` elements.
template <class Variant, class Rule, class Tile, int kTerms, std::size_t... kState, std::size_t... kLine>
__device__ __forceinline__ void measure_tile(const rule::TensorCoefficients<Rule>& k, bool lossy,
                                             const Tile& tile, int count, TileTerms<kTerms>& terms,
                                             std::index_sequence<kState...> /*states*/,
                                             std::index_sequence<kLine...> /*lines*/) {
#pragma unroll
  for (int lane = 0; lane < kAnyTile; ++lane) {
    float of_element[kTerms];
    if (Compressible<Variant> && lossy) {
      rule::measure<Variant, true>(k, tile.param[lane], tile.grad[lane], of_element,
                                   tile.state[kState][lane]..., tile.number[kLine][lane]...);
    } else {
      rule::measure<Variant, false>(k, tile.param[lane], tile.grad[lane], of_element,
                                    tile.state[kState][lane]..., tile.number[kLine][lane]...);
    }
#pragma unroll
    for (int term = 0; term < kTerms; ++term) terms[term][lane][0] = lane < count ? of_element[term] : 0.0f;
  }
}

/// Adds what a thread block has collected to the sums that a tensor's elements belong to, and empties it.
template <bool kOverModel, int kTerms>
__device__ __forceinline__ void merge_sums(const Table& table, std::uint32_t tensor,
                                           Reduction (&block)[kTerms]) {
  TensorSums& whole = sums_of(table, tensor, kOverModel);
  for (int term = 0; term < kTerms; ++term) merge(whole.of_terms[term], block[term]);
  __syncthreads();  // merged before it is emptied
  for (Reduction& sum : block) clear(sum);
}

/// Thread blocks that must fit on a multiprocessor: with one more, ptxas would spill registers of LaProp,
/// whose terms need its whole update.
inline constexpr int kMinMeasureBlocks = 2;

/// Adds the table's chunks to the sums over their tensors, or over the model. Thread blocks of
/// AnyStreams::kThreadCount threads; any grid size works. A thread block collects the sums of a chunk in
/// shared memory, or those of all its chunks if they run over the model.
template <class Rule, class Variant>
__global__ void __launch_bounds__(AnyStreams<Variant>::kThreadCount, kMinMeasureBlocks)
    measure(const Table table) {
  using Streams = AnyStreams<Variant>;
  constexpr int kTerms = kSumCount<Rule>;
  constexpr bool kOverModel = kSumsOverModel<Rule>;
  constexpr Measure kMeasure = kSumsMagnitudes<Rule> ? Measure::exact_magnitudes : Measure::exact_squares;
  __shared__ Reduction block[kTerms];
  for (Reduction& sum : block) clear(sum);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[chunk.tensor];
    if (!k.step.active || !k.step.takes_sums) continue;
    const Streams streams(table.tensors[chunk.tensor], table.grads[chunk.tensor], chunk);
    const bool lossy = streams.tensor.state_storage != States::float32;
    const Extent part = chunk.extent();
    for (typename Streams::TurnsOf turns; turns.any(part); turns.advance()) {
      const Place place(turns.at(), turns.count(part), chunk.lead());
      typename Streams::TileOf tile{};
      streams.template load_some<rule::kMeasuredStreams<Variant>>(tile, place, k.around);
      if constexpr (Streams::kLines != 0) streams.load_numbers(tile, place, table.axes[chunk.tensor]);
      TileTerms<kTerms> terms;
      measure_tile<Variant>(k, lossy, tile, place.count, terms,
                            std::make_index_sequence<kStateCount<Variant>>{},
                            std::make_index_sequence<Streams::kLines>{});
#pragma unroll
      for (int term = 0; term < kTerms; ++term) {
        add_exactly<kMeasure>(terms[term], lane, block[term]);
      }
    }
    if constexpr (!kOverModel) merge_sums<kOverModel>(table, chunk.tensor, block);
  }
  if constexpr (kOverModel) {
    if (blockIdx.x < table.chunk_count) merge_sums<kOverModel>(table, table.chunks[0].tensor, block);
  }
}

}  // namespace onepass::kernels
