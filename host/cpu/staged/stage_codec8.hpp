// stage_codec8.hpp - the stage codecs of formats whose states have 8 bits and a scale for each block.
// Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/scaled_block_codec.hpp"
#include "host/cpu/codecs/scaled_block_vectors.hpp"
#include "host/cpu/staged/stage_codec.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// A stage is as long as the scales of its blocks take one vector division.
constexpr std::int64_t kStage8 = kStagedElements;

/// Returns state `s` from an element on.
template <class Codec>
ScaledState<Codec> scaled_state(const StagedStreams& chunk, std::int64_t begin, int s) {
  const ScaledState<Codec> of_chunk{reinterpret_cast<typename Codec::Code*>(chunk.states[s]),
                                    chunk.scales[s]};
  return of_chunk.from(begin / storage::kBlock);
}

template <class Codec>
__attribute__((noinline)) void unpack_state8(const ScaledState<Codec> state, std::int64_t blocks, float* to) {
  for (std::int64_t block = 0; block < blocks; ++block) {
    load_state_block(state.from(block), to + block * storage::kBlock);
  }
}

/// Encodes the elements [lead, count) of a state. `halves` has one half for each block, `apart` halves apart.
/// Leaves the staged values (Codec::stage()) in the buffer.
template <class Codec>
__attribute__((noinline)) void pack_state8(float* values, int lead, int count, const std::uint16_t* halves,
                                           int apart, const ScaledState<Codec> state) {
  const int blocks = (count + storage::kBlock - 1) / storage::kBlock;
  for (int i = 0; i < blocks * storage::kBlock; ++i) values[i] = Codec::stage(values[i]);
  clear_outside(lead, count, values);
  std::uint16_t of_state[kStagedBlocks];
  for (int block = 0; block < blocks; ++block) of_state[block] = halves[block * apart];
  store_state_blocks<1>(values, blocks, of_state, state);
}

/// The format that states which stay float32 have: that of a parameter that is its own master.
using Exact = storage::Format<storage::Alone<storage::Float32>, storage::Float32, storage::Float32,
                              Master::none, States::float32>;

__attribute__((noinline)) void unpack_float32(float* state, int count, float* to) {
  load_params(state, static_cast<storage::NoRemainder*>(nullptr), to, count, Exact{});
}

__attribute__((noinline)) void pack_float32(const float* values, int count, float* state) {
  store_params(values, state, static_cast<storage::NoRemainder*>(nullptr), count, Exact{});
}

/// Returns a state that stays float32 from an element on.
inline float* float32_state(const StagedStreams& chunk, std::int64_t begin, int s) {
  return reinterpret_cast<float*>(chunk.states[s]) + begin;
}

/// The streams of a stage by their types, but for the states.
template <class Format>
struct TypedParams {
  typename Format::Param::Element* element;
  typename Format::Param::Remainder* remainder;

  TypedParams(const StagedStreams& chunk, std::int64_t begin)
      : element(reinterpret_cast<typename Format::Param::Element*>(chunk.param) + begin), remainder(nullptr) {
    if constexpr (Format::kHasRemainder) {
      remainder = reinterpret_cast<typename Format::Param::Remainder*>(chunk.remainder) + begin;
    }
  }
};

/// An Unpack. All streams go into the buffers, in the order of place_of().
template <class Format, class GradCodec>
void unpack8(const StagedStreams& chunk, std::int64_t begin, std::int64_t count, float* first) {
  const Room room{first, buffers_apart(kStage8)};
  const std::int64_t blocks = (count + storage::kBlock - 1) / storage::kBlock;
  const int whole = static_cast<int>(blocks) * storage::kBlock;
  const TypedParams<Format> param(chunk, begin);
  load_params(param.element, param.remainder, room.param(), whole, Format{});
  load_grads(reinterpret_cast<const typename GradCodec::Element*>(chunk.grad) + begin, room.grad(), whole,
             GradCodec{});
  for (int s = 0; s < chunk.state_count; ++s) {
    if (chunk.is_float32(s)) {
      unpack_float32(float32_state(chunk, begin, s), whole, room.state(s));
      continue;
    }
    storage::Quantized8::with_curve(chunk.is_nonnegative(s), [&]<class Curve>(Curve /*of*/) {
      unpack_state8(scaled_state<Curve>(chunk, begin, s), blocks, room.state(s));
    });
  }
}

/// A Pack. kDrawsForParam: the parameter is rounded with random bits.
template <class Format, bool kDrawsForParam>
void pack8(float* first, const StagedStreams& chunk, std::int64_t begin, std::int64_t count,
           const std::uint16_t* halves) {
  const Room room{first, buffers_apart(kStage8)};
  const int apart = rule::block_halves<Format>(chunk.state_count);
  const int some = static_cast<int>(count);
  const int whole = (some + storage::kBlock - 1) / storage::kBlock * storage::kBlock;
  const TypedParams<Format> param(chunk, begin);
  if constexpr (kDrawsForParam) {
    store_params_drawing(room.param(), param.element, param.remainder, whole,
                         BlockHalvesOf{halves + apart - 1, apart}, Format{});
  } else {
    store_params(room.param(), param.element, param.remainder, whole, Format{});
  }
  for (int s = 0; s < chunk.state_count; ++s) {
    if (chunk.is_float32(s)) {
      pack_float32(room.state(s), whole, float32_state(chunk, begin, s));
      continue;
    }
    storage::Quantized8::with_curve(chunk.is_nonnegative(s), [&]<class Curve>(Curve /*of*/) {
      pack_state8(room.state(s), chunk.lead, some, halves + s, apart, scaled_state<Curve>(chunk, begin, s));
    });
  }
}

template <class Format>
requires(Format::kQuantized) StageCodec stage_codec_of(const StageChoice& choice) {
  using Param = typename Format::Param;
  StageCodec codec{
      .unpack = &unpack8<Format, typename Format::LowGrad>,
      .pack = &pack8<Format, Format::kDithersRemainder>,
      .stage = kStage8,
      .halves = rule::block_halves<Format>(choice.states),
      .bytes = {sizeof(typename Param::Element),
                Format::kHasRemainder ? sizeof(typename Param::Remainder) : 0,
                sizeof(typename Format::LowGrad::Element), size_of(Format::State::kDType), choice.float32},
      .param_in_place = false,
      .grad_in_place = false,
      .states_in_place = 0,
      .in_pairs = true,
      .settles_in_loop = choice.states != 0 || Format::kDithersRemainder};
  if (choice.has_float32_gradients) {
    codec.unpack = &unpack8<Format, storage::Float32>;
    codec.bytes.grad = sizeof(float);
  }
  if constexpr (Format::kRoundsStochastically) {
    if (choice.rounds_stochastically) codec.pack = &pack8<Format, true>;
  }
  return codec;
}

}  // namespace
}  // namespace onepass::cpu
