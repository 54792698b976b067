// elementwise.cuh - the update kernel: load, move, store, for every tensor of one format.
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

/// Threads of a block, and how many blocks a processor is to have room for. 0 leaves that to ptxas, which
/// aims at many, and spills where eight elements and their states are in flight.
template <class Format>
inline constexpr int kThreads = Format::kQuantized ? 128 : 256;
template <class Format>
inline constexpr int kBlocks = Format::kAllFloat32  ? 0
                               : Format::kQuantized ? 3
                                                    : 2;

/// A state's stream, found by its number among the bases of Streams: std::tuple is for the host.
template <class Stream, std::size_t kState>
struct Numbered {
  Stream state;
};

/// One chunk's streams, from its first element on.
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

  __device__ __forceinline__ Streams(const TensorEntry& tensor, void* gradient, std::int64_t begin)
      : Base<kState>{{tensor.states[kState], begin, tensor.numel}}...,
        param(tensor, begin),
        grad(gradient, begin, tensor.grad_type) {}

  [[nodiscard]] __device__ __forceinline__ bool all_wide() const {
    return param.wide() && grad.wide() && (... && (Base<kState>::state.access() == Access::sixteen));
  }

  __device__ __forceinline__ void load(TileOf& tile, Place place, bool wide) const {
    param.load(tile.param, place, wide);
    grad.load(tile.grad, place, wide);
    (..., Base<kState>::state.load(tile.state[kState], place, access<kState>(wide)));
  }

  /// All but the gradient. `place` counts from the chunk's first element, which is the tensor's `begin`.
  __device__ __forceinline__ void store(const rule::TensorStep& step, const TileOf& tile, Place place,
                                        bool wide, std::int64_t begin, TurnsOf& turns) const {
    if constexpr (Format::kRoundsStochastically) {
      if (step.rounds_stochastically != 0) {
        return store_rounded(turns.template halves<kHalves>(step.draws, begin, random::Purpose::rounding),
                             tile, place, wide);
      }
    }
    param.store(tile.param, place, wide);
    if constexpr (Format::kQuantized && kStates > 0) {
      const auto halves = turns.template halves<kHalves>(step.draws, begin, random::Purpose::rounding);
      (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide),
                                      dither_of<int{kState}>(halves)));
    } else {
      (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide)));
    }
  }

  template <bool kPlain, class Rule>
  static __device__ __forceinline__ void move(const rule::TensorCoefficients<Rule>& k, TileOf& tile) {
#pragma unroll
    for (int lane = 0; lane < TileOf::kCount; ++lane) {
      rule::move<Variant, Format::kHasLossyStates, kPlain>(k, tile.param[lane], tile.grad[lane],
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
    if constexpr (Format::kHasLossyStates) {
      (..., Base<kState>::state.store_rounded(tile.state[kState], place, access<kState>(wide),
                                              dither_of<int{kState}>(halves)));
    } else {
      (..., Base<kState>::state.store(tile.state[kState], place, access<kState>(wide)));
    }
  }
};

template <class Format, class Variant>
using StreamsOf = Streams<Format, Variant, std::make_index_sequence<kStateCount<Variant>>>;

/// The turns of one chunk that are still to do. kSimple: those of whole warps only, where every stream is
/// aligned to 16 bytes and what stands around the rule is plain, so that nothing need be asked.
template <class Format, class Variant, bool kSimple, class Rule>
__device__ __forceinline__ void sweep(const rule::TensorCoefficients<Rule>& k,
                                      const StreamsOf<Format, Variant>& streams, Extent part,
                                      typename StreamsOf<Format, Variant>::TurnsOf& turns) {
  for (; kSimple ? turns.whole(part) : turns.any(part); turns.advance()) {
    const Place place{turns.at(), kSimple ? kTile<Format> : turns.count(part)};
    typename StreamsOf<Format, Variant>::TileOf tile;
    streams.load(tile, place, kSimple);
    streams.template move<kSimple>(k, tile);
    streams.store(k.step, tile, place, kSimple, part.begin, turns);
  }
}

/// One step of Rule on every chunk of the table, all of which are of one format. Grid: any number of blocks,
/// which stride over the chunks; block: kThreads. No shared memory, no barrier, no atomics; an
/// element belongs to a thread by its index in the chunk, so the result depends on nothing but the numbers.
/// Reads p, g and each state once, writes p and each state once, moves an average of p and writes a copy of
/// it where a tensor has them, and zeros over g where that is asked for.
template <class Rule, class Variant, class Format>
__global__ void __launch_bounds__(kThreads<Format>, kBlocks<Format>) elementwise(const Table table) {
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[chunk.tensor];
    if (!k.step.active && !k.step.zero_grad) continue;
    const Extent part = extent(table, chunk);
    const TensorEntry& tensor = table.tensors[chunk.tensor];
    const StreamsOf<Format, Variant> streams(tensor, table.grads[chunk.tensor], part.begin);
    if (k.step.active) {
      typename StreamsOf<Format, Variant>::TurnsOf turns;
      if (streams.all_wide() && k.around.is_plain()) sweep<Format, Variant, true>(k, streams, part, turns);
      sweep<Format, Variant, false>(k, streams, part, turns);
    }
    if (k.step.active && tensor.has_followers())
      Followers<Format, kThreads<Format>>{tensor, k.step, part}.follow();
    // Each thread writes where it has read itself.
    if (k.step.zero_grad) streams.grad.template zero<kThreads<Format>>(part.count);
  }
}

}  // namespace onepass::kernels
