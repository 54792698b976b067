// elementwise.cuh - the update kernel: loads, updates and stores every tensor of one format.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/update/followers.cuh"
#include "kernels/update/streams.cuh"
#include "kernels/update/turns.cuh"
#include "onepass/rule/concept.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Threads of a thread block, and the number of thread blocks that must fit on a multiprocessor. 0 leaves the
/// number to ptxas. ptxas aims at many, and would spill registers in the formats that keep eight elements and
/// their states in flight.
template <class Format>
inline constexpr int kThreads = Format::kQuantized ? 128 : 256;
/// Three states of float32 beside a parameter that may round with random bits need two registers more than
/// two thread blocks leave, and four states of a float32 parameter one more than ptxas would choose.
template <class Format, int kStates>
inline constexpr int kMinThreadBlocks = Format::kAllFloat32  ? (kStates > 3 ? 1 : 0)
                                        : Format::kQuantized ? 3
                                        : kStates > 2 && Format::kRoundsParam && !Format::kHasLossyStates ? 1
                                                                                                          : 2;

/// The streams of one chunk, starting at its first element.
template <class Format, class Variant, class Indices>
struct Streams;

template <class Format, class Variant, std::size_t... kState>
struct Streams<Format, Variant, std::index_sequence<kState...>>
    : Numbered<StateStream<Format, Variant, kState>, kState>... {
  static constexpr int kStates = sizeof...(kState);
  static constexpr int kHalves = rule::kBlockHalves<Format, Variant>;
  using TileOf = Tile<Format, kStates>;
  using TurnsOf = Turns<kTile<Format>, kThreads<Format>>;
  template <std::size_t kIndex>
  using Base = Numbered<StateStream<Format, Variant, kIndex>, kIndex>;

  ParamStream<Format> param;
  GradStream<Format> grad;

  __device__ __forceinline__ Streams(const TensorEntry& tensor, void* gradient, const Chunk& chunk)
      : Base<kState>{{tensor, kState, chunk}}...,
        param(tensor, chunk.begin),
        grad(gradient, chunk.begin, tensor.grad_type) {}

  [[nodiscard]] __device__ __forceinline__ bool all_wide() const {
    return param.wide() && grad.wide() && (... && (Base<kState>::state.access() == Access::sixteen));
  }

  __device__ __forceinline__ void load(TileOf& tile, Place place, bool wide) const {
    param.load(tile.param, place, wide);
    grad.load(tile.grad, place, wide);
    (..., Base<kState>::state.load(tile.state[kState], place, access<kState>(wide)));
  }

  /// Stores all streams but the gradient. `first`: Chunk::first.
  __device__ __forceinline__ void store(const rule::TensorStep& step, const TileOf& tile, Place place,
                                        bool wide, std::int64_t first, TurnsOf& turns) const {
    if constexpr (Format::kDrawsForParam) {
      if (Format::kDithersRemainder || step.rounds_stochastically != 0) {
        return store_rounded(turns.template halves<kHalves>(step.draws, first, random::Purpose::rounding),
                             tile, place, wide);
      }
    }
    if constexpr (!Format::kDithersRemainder) {
      param.store(tile.param, place, wide);
      if constexpr (Format::kQuantized && kStates > 0) {
        const auto halves = turns.template halves<kHalves>(step.draws, first, random::Purpose::rounding);
        (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide),
                                        dither_of<int{kState}>(halves)));
      } else {
        (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide)));
      }
    }
  }

  template <rule::Extras kExtras, class Rule>
  static __device__ __forceinline__ void move(const rule::TensorCoefficients<Rule>& k, TileOf& tile) {
#pragma unroll
    for (int lane = 0; lane < TileOf::kCount; ++lane) {
      rule::move<Variant, Format::kHasLossyStates, kExtras>(k, tile.param[lane], tile.grad[lane],
                                                            tile.state[kState][lane]...);
    }
  }

 private:
  template <std::size_t kIndex>
  [[nodiscard]] __device__ __forceinline__ Access access(bool wide) const {
    return wide ? Access::sixteen : Base<kIndex>::state.access();
  }

  __device__ __forceinline__ void store_rounded(const rule::BlockHalves<kHalves>& halves, const TileOf& tile,
                                                Place place, bool wide) const {
    param.store_rounded(tile.param, place, wide, dither_of<kHalves - 1>(halves));
    if constexpr (Format::kDrawsForStates) {
      (..., Base<kState>::state.store_rounded(tile.state[kState], place, access<kState>(wide),
                                              dither_of<int{kState}>(halves)));
    } else {
      (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide)));
    }
  }
};

template <class Format, class Variant>
using StreamsOf = Streams<Format, Variant, std::make_index_sequence<kStateCount<Variant>>>;

/// Does the remaining turns of a chunk. kSimple: does only turns in which the whole warp has whole tiles. All
/// streams must then be aligned to 16 bytes, and the tensor must need no more than Extras::scale, so that the
/// loop needs no checks.
template <class Format, class Variant, bool kSimple, class Rule>
__device__ __forceinline__ void update_turns(const rule::TensorCoefficients<Rule>& k,
                                             const StreamsOf<Format, Variant>& streams, const Chunk& chunk,
                                             typename StreamsOf<Format, Variant>::TurnsOf& turns) {
  const Extent part = chunk.extent();
  for (; kSimple ? turns.whole(part) : turns.any(part); turns.advance()) {
    const Place place(turns.at(), kSimple ? kTile<Format> : turns.count(part), kSimple ? 0 : chunk.lead());
    typename StreamsOf<Format, Variant>::TileOf tile;
    streams.load(tile, place, kSimple);
    streams.template move<kSimple ? rule::Extras::scale : rule::Extras::settle>(k, tile);
    streams.store(k.step, tile, place, kSimple, chunk.first, turns);
  }
}

/// Applies one step of Rule to every chunk of the table; all chunks have the same format. Thread blocks of
/// kThreads threads stride over the chunks; any grid size works. Uses no shared memory, no barrier and no
/// atomics. An element's index in its chunk determines its thread, so the result depends only on the input.
/// Reads p, g and each state once and writes p and each state once. For tensors that have a moving average or
/// a copy of p, it also updates the average and writes the copy; at a step of Lookahead it moves slow weights
/// and p before. Overwrites g with zeros if asked to.
template <class Rule, class Variant, class Format>
__global__ void __launch_bounds__(kThreads<Format>, (kMinThreadBlocks<Format, kStateCount<Variant>>))
    elementwise(const Table table) {
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[chunk.tensor];
    if (!k.step.active && !k.step.zero_grad) continue;
    const TensorEntry& tensor = table.tensors[chunk.tensor];
    const StreamsOf<Format, Variant> streams(tensor, table.grads[chunk.tensor], chunk);
    if (k.step.active) {
      typename StreamsOf<Format, Variant>::TurnsOf turns;
      const bool simple =
          k.around.extras() != rule::Extras::all && !k.around.settles(kStateCount<Variant> != 0);
      if (simple && streams.all_wide()) update_turns<Format, Variant, true>(k, streams, chunk, turns);
      update_turns<Format, Variant, false>(k, streams, chunk, turns);
    }
    // From here on the chunk is read again: to keep it in registers until here would spill some.
    if (has_followers(tensor, k.step)) {
      Followers<kTile<Format>, kThreads<Format>>{tensor, k.step, table.chunks[c]}
          .template follow<Format::kIsFloat32, storage::kHoldsFloat32<typename Format::Param>>(
              [&](auto& values, Place place) { streams.param.load(values, place, false); },
              [&](const auto& values, Place place) { streams.param.store(values, place, false); });
    }
    // Each thread overwrites only elements that it has read itself, so no barrier is needed.
    if (k.step.zero_grad) streams.grad.template zero<kThreads<Format>>(table.chunks[c].count);
  }
}

}  // namespace onepass::kernels
