// elementwise.cuh - the update kernel: load, move, store, for every tensor of the model.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/advance.hpp"
#include "kernels/lanes.cuh"
#include "kernels/table.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::kernels {

inline constexpr int kThreads = 256;

/// One chunk's streams, from its first element on.
template <class Format, int kStates>
struct Streams {
  typename Format::Param::Element* param;
  typename Format::Grad::Element* grad;
  typename Format::State::Element* state[kStates > 0 ? kStates : 1];

  static __device__ __forceinline__ Streams of(const Table& table, Chunk chunk, std::int64_t begin) {
    const TensorEntry& tensor = table.tensors[chunk.tensor];
    Streams streams;
    streams.param = global<typename Format::Param::Element>(tensor.param) + begin;
    streams.grad = global<typename Format::Grad::Element>(table.grads[chunk.tensor]) + begin;
#pragma unroll
    for (int s = 0; s < kStates; ++s) {
      streams.state[s] = global<typename Format::State::Element>(tensor.states[s]) + begin;
    }
    return streams;
  }

  [[nodiscard]] __device__ __forceinline__ bool all_wide() const {
    bool wide = widest(param) == Access::sixteen && widest(grad) == Access::sixteen;
#pragma unroll
    for (int s = 0; s < kStates; ++s) wide = wide && widest(state[s]) == Access::sixteen;
    return wide;
  }
};

/// The elements of kLanes neighbours, as the rule sees them.
template <int kStates>
struct Tile {
  float param[kLanes];
  float grad[kLanes];
  float state[kStates > 0 ? kStates : 1][kLanes];
};

template <class Variant, bool kPlain, class Rule, int kStates, std::size_t... kState>
__device__ __forceinline__ void move_lane(const rule::TensorCoefficients<Rule>& k, Tile<kStates>& tile,
                                          int lane, std::index_sequence<kState...>) {
  rule::move<Variant, kPlain>(k, tile.param[lane], tile.grad[lane], tile.state[kState][lane]...);
}

/// One chunk, by one block. kSimple: every stream is aligned to 16 bytes, and what stands around the rule is
/// plain, so nothing need be asked.
template <class Variant, class Format, bool kSimple, class Rule, int kStates>
__device__ __forceinline__ void sweep(const rule::TensorCoefficients<Rule>& k,
                                      const Streams<Format, kStates>& at, std::int64_t count) {
  const auto access = [](const void* stream) { return kSimple ? Access::sixteen : widest(stream); };
  for (std::int64_t i = kLanes * static_cast<std::int64_t>(threadIdx.x); i < count; i += kLanes * kThreads) {
    const int lanes = count - i < kLanes ? static_cast<int>(count - i) : kLanes;
    Tile<kStates> tile;
    load<typename Format::Param>(tile.param, at.param + i, lanes, access(at.param));
    load<typename Format::Grad>(tile.grad, at.grad + i, lanes, access(at.grad));
#pragma unroll
    for (int s = 0; s < kStates; ++s) {
      load<typename Format::State>(tile.state[s], at.state[s] + i, lanes, access(at.state[s]));
    }
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      move_lane<Variant, kSimple>(k, tile, lane, std::make_index_sequence<kStates>{});
    }
    store<typename Format::Param>(at.param + i, tile.param, lanes, access(at.param));
#pragma unroll
    for (int s = 0; s < kStates; ++s) {
      store<typename Format::State>(at.state[s] + i, tile.state[s], lanes, access(at.state[s]));
    }
  }
}

/// One step of Rule on every chunk of the table. Grid: any number of blocks, which stride over the chunks;
/// block: kThreads. No shared memory, no barrier, no atomics; an element belongs to a thread by its index in
/// the chunk, so the result depends on nothing but the numbers. Reads p, g and each state once, writes p and
/// each state once, and zeros over g where that is asked for.
template <class Rule, class Variant, class Format>
__global__ void __launch_bounds__(kThreads) elementwise(const Table table) {
  constexpr int kStates = kStateCount<Variant>;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[chunk.tensor];
    if (!k.active && !k.zero_grad) continue;
    const Extent part = extent(table, chunk);
    const auto streams = Streams<Format, kStates>::of(table, chunk, part.begin);
    if (k.active && streams.all_wide() && k.around.is_plain()) {
      sweep<Variant, Format, true>(k, streams, part.count);
    } else if (k.active) {
      sweep<Variant, Format, false>(k, streams, part.count);
    }
    // Each thread writes where it has read itself.
    if (k.zero_grad) zero_run<typename Format::Grad, kThreads>(streams.grad, part.count);
  }
}

}  // namespace onepass::kernels
