// stage_codec16.hpp - the stage codecs of 16-bit parameters whose states have 16 or 32 bits. Compiled once
// for each instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/param_codec.hpp"
#include "host/cpu/staged/stage_codec.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The order of a stage's elements in float32: pairs, if all its streams can be decoded in this order.
/// kStates: the number of states.
template <class Format, class GradCodec, int kStates>
inline constexpr Order kStageOrder = kHasPairs<typename Format::Param>&& kHasPairs<GradCodec> &&
                                             (kStates == 0 || kHasPairs<typename Format::State>)
                                         ? Order::pairs
                                         : Order::natural;

template <class Format>
inline constexpr bool kHasMaster = std::is_same_v<typename Format::Param::Remainder, float>;
/// True if the rule moves the parameter, or its master, where it lies.
template <class Format>
inline constexpr bool kParamInPlace = kHasMaster<Format> || Format::kIsFloat32;

/// The streams of a stage by their types.
template <class Format, int kStates>
struct TypedStreams {
  using Param = typename Format::Param::Element;
  using Remainder = typename Format::Param::Remainder;
  using State = typename Format::State::Element;

  Param* param;
  Remainder* remainder;
  State* states[kStates + 1];

  TypedStreams(const StagedStreams& chunk, std::int64_t begin)
      : param(reinterpret_cast<Param*>(chunk.param) + begin), remainder(nullptr), states{} {
    if constexpr (Format::kHasRemainder) remainder = reinterpret_cast<Remainder*>(chunk.remainder) + begin;
    for (int s = 0; s < kStates; ++s) states[s] = reinterpret_cast<State*>(chunk.states[s]) + begin;
  }
  [[nodiscard]] ONEPASS_LANE Remainder* remainder_from(std::int64_t i) const {
    return Format::kHasRemainder ? remainder + i : nullptr;
  }
};

/// An Unpack. A function of its own for each combination of streams: to decode one stream after the other
/// with a call for each takes up to 1.6 times as long.
template <class Format, class GradCodec, int kStates>
void unpack16(const StagedStreams& chunk, std::int64_t begin, std::int64_t count, float* first) {
  constexpr Order kOrder = kStageOrder<Format, GradCodec, kStates>;
  const Room room{first, buffers_apart(kStage)};
  const TypedStreams<Format, kStates> from(chunk, begin);
  const auto* const grad = reinterpret_cast<const typename GradCodec::Element*>(chunk.grad) + begin;
  for (std::int64_t i = 0; i < count; i += kBlock) {
    if constexpr (!kParamInPlace<Format>) {
      ParamBlockCodec<typename Format::Param, kOrder>::decode(from.param + i, from.remainder_from(i),
                                                              room.param() + i);
    }
    if constexpr (!std::is_same_v<GradCodec, storage::Float32>) {
      BlockCodec<GradCodec, kOrder>::decode(grad + i, room.grad() + i);
    }
    if constexpr (Format::kHasLossyStates) {
#pragma GCC unroll 4
      for (int s = 0; s < kStates; ++s) {
        BlockCodec<typename Format::State, kOrder>::decode(from.states[s] + i, room.state(s) + i);
      }
    }
  }
}

/// Returns how a stream of a block is rounded. How: Nearest, NearestByInstruction or storage::Dither.
template <class How>
ONEPASS_LANE How how_of([[maybe_unused]] const std::uint16_t* halves, [[maybe_unused]] std::int64_t half) {
  if constexpr (std::is_same_v<How, storage::Dither>) {
    return storage::Dither{halves[half]};
  } else {
    return {};
  }
}

/// How a format's parameter is rounded where its states are rounded by How: always dithered, by How, or, if a
/// remainder keeps what it loses, to nearest.
template <class Format, class How>
using ParamHow = std::conditional_t<
    Format::kDithersRemainder, storage::Dither,
    std::conditional_t<!Format::kRoundsParam && std::is_same_v<How, storage::Dither>, Nearest, How>>;

/// A Pack. How: of the states.
template <class Format, Order kOrder, int kStates, class How>
void pack16(float* first, const StagedStreams& chunk, std::int64_t begin, std::int64_t count,
            const std::uint16_t* halves) {
  constexpr int kHalves = rule::block_halves<Format>(kStates);
  constexpr std::int64_t kApart = buffers_apart(kStage);
  const TypedStreams<Format, kStates> to(chunk, begin);
  const Writes writes = chunk.writes;
  const float* param = first;
  if constexpr (kHasMaster<Format>) param = to.remainder;
  for (std::int64_t i = 0; i < count; i += kBlock) {
    const std::int64_t half = i / kBlock * kHalves;
    if constexpr (!Format::kIsFloat32) {
      const auto how = how_of<ParamHow<Format, How>>(halves, half + kHalves - 1);
      ParamBlockCodec<typename Format::Param, kOrder>::encode(param + i, to.param + i, to.remainder_from(i),
                                                              how, writes);
    }
    if constexpr (Format::kHasLossyStates) {
#pragma GCC unroll 4
      for (int s = 0; s < kStates; ++s) {
        BlockCodec<typename Format::State, kOrder>::encode(first + (2 + s) * kApart + i, to.states[s] + i,
                                                           how_of<How>(halves, half + s));
      }
    }
  }
}

template <class Format, class GradCodec, int kStates>
StageCodec stage_codec16_of(const StageChoice& choice) {
  constexpr Order kOrder = kStageOrder<Format, GradCodec, kStates>;
  constexpr bool kGradInPlace = std::is_same_v<GradCodec, storage::Float32>;
  using Param = typename Format::Param;
  StageCodec codec{.unpack = &unpack16<Format, GradCodec, kStates>,
                   .pack = &pack16<Format, kOrder, kStates, Nearest>,
                   .stage = kStage,
                   .halves = Format::kDithersRemainder ? rule::block_halves<Format>(kStates) : 0,
                   .bytes = {sizeof(typename Param::Element),
                             Format::kHasRemainder ? sizeof(typename Param::Remainder) : 0,
                             sizeof(typename GradCodec::Element), sizeof(typename Format::State::Element)},
                   .param_in_place = kParamInPlace<Format>,
                   .grad_in_place = kGradInPlace,
                   .states_in_place = Format::kHasLossyStates ? 0 : kAllStates,
                   .in_pairs = kOrder == Order::pairs};
  if constexpr (kParamInPlace<Format> && kGradInPlace && !Format::kHasLossyStates) codec.unpack = nullptr;
  if constexpr (Format::kAllFloat32) codec.pack = nullptr;
  if constexpr (Format::kRoundsStochastically) {
    if (choice.rounds_stochastically) {
      codec.pack = &pack16<Format, kOrder, kStates, storage::Dither>;
      codec.halves = rule::block_halves<Format>(kStates);
      return codec;
    }
  }
  if constexpr (kHasNearestByInstruction<Param> || kHasNearestByInstruction<typename Format::State>) {
    if (choice.has_bf16_instruction) codec.pack = &pack16<Format, kOrder, kStates, NearestByInstruction>;
  }
  return codec;
}

/// The format of a variant without states: the same, but for the states.
template <class Format>
using Stateless = storage::Format<typename Format::Param, typename Format::LowGrad, storage::Float32,
                                  Format::kName.master, States::float32>;

/// Decodes the states of a stage that do not stay float32.
template <class Codec>
__attribute__((noinline)) void unpack_narrow(const StagedStreams& chunk, std::int64_t begin,
                                             std::int64_t count, float* first) {
  const Room room{first, buffers_apart(kStage)};
  for (int s = 0; s < chunk.state_count; ++s) {
    if (chunk.is_float32(s)) continue;
    const auto* const from = reinterpret_cast<const typename Codec::Element*>(chunk.states[s]) + begin;
    for (std::int64_t i = 0; i < count; i += kBlock) {
      BlockCodec<Codec, Order::natural>::decode(from + i, room.state(s) + i);
    }
  }
}

/// Encodes them. `each`: the random halves of a block.
template <class Codec, class How>
__attribute__((noinline)) void pack_narrow(float* first, const StagedStreams& chunk, std::int64_t begin,
                                           std::int64_t count, const std::uint16_t* halves, int each) {
  const Room room{first, buffers_apart(kStage)};
  for (int s = 0; s < chunk.state_count; ++s) {
    if (chunk.is_float32(s)) continue;
    auto* const to = reinterpret_cast<typename Codec::Element*>(chunk.states[s]) + begin;
    for (std::int64_t i = 0; i < count; i += kBlock) {
      BlockCodec<Codec, Order::natural>::encode(room.state(s) + i, to + i,
                                                how_of<How>(halves, i / kBlock * each + s));
    }
  }
}

/// An Unpack of states of which some stay float32: these are moved where they lie, so that all streams are in
/// natural order. It decodes the parameters and gradients as if there were no other states, and then the
/// others, so that few functions are compiled for such rules.
template <class Format, class GradCodec>
void unpack_mixed16(const StagedStreams& chunk, std::int64_t begin, std::int64_t count, float* first) {
  unpack16<Stateless<Format>, GradCodec, 1>(chunk, begin, count, first);
  unpack_narrow<typename Format::State>(chunk, begin, count, first);
}

/// How a parameter is rounded by pack16() for Stateless<Format>, where the states are rounded by How.
template <class Format, class How>
using StatelessHow = std::conditional_t<(std::is_same_v<How, storage::Dither> && !Format::kRoundsParam) ||
                                            (std::is_same_v<How, NearestByInstruction> &&
                                             !kHasNearestByInstruction<typename Format::Param>),
                                        Nearest, How>;

/// A Pack of such states.
template <class Format, class How>
void pack_mixed16(float* first, const StagedStreams& chunk, std::int64_t begin, std::int64_t count,
                  const std::uint16_t* halves) {
  const int each = rule::block_halves<Format>(chunk.state_count);
  std::uint16_t of_param[kStage / kBlock] = {};
  if constexpr (Format::kDithersRemainder || std::is_same_v<How, storage::Dither>) {
    for (std::int64_t i = 0; i < count; i += kBlock) {
      of_param[i / kBlock] = halves[i / kBlock * each + each - 1];
    }
  }
  pack16<Stateless<Format>, Order::natural, 1, StatelessHow<Format, How>>(first, chunk, begin, count,
                                                                          of_param);
  pack_narrow<typename Format::State, How>(first, chunk, begin, count, halves, each);
}

/// The codec of a format if some of the states stay float32.
template <class Format, class GradCodec>
StageCodec mixed_codec16_of(const StageChoice& choice) {
  StageCodec codec = stage_codec16_of<Stateless<Format>, GradCodec, 1>(choice);
  codec.unpack = &unpack_mixed16<Format, GradCodec>;
  codec.pack = choice.has_bf16_instruction ? &pack_mixed16<Format, NearestByInstruction>
                                           : &pack_mixed16<Format, Nearest>;
  if (choice.rounds_stochastically) codec.pack = &pack_mixed16<Format, storage::Dither>;
  const bool draws = Format::kDithersRemainder || choice.rounds_stochastically;
  codec.halves = draws ? rule::block_halves<Format>(choice.states) : 0;
  codec.bytes.state = sizeof(typename Format::State::Element);
  codec.bytes.float32 = codec.states_in_place = choice.float32;
  return codec;
}

/// Chooses the codec for the number of states. States of float32 are moved where they lie and only decide on
/// the order: one codec serves any number of them.
template <class Format, class GradCodec>
StageCodec stage_codec16_of(const StageChoice& choice) {
  if constexpr (kStageOrder<Stateless<Format>, GradCodec, 0> == Order::pairs) {
    if (choice.states == 0) return stage_codec16_of<Stateless<Format>, GradCodec, 0>(choice);
  }
  if constexpr (Format::kHasLossyStates) {
    static_assert(step::kMaxStates == 4);
    if (choice.states == 0) return stage_codec16_of<Stateless<Format>, GradCodec, 1>(choice);
    if (choice.float32 != 0) return mixed_codec16_of<Format, GradCodec>(choice);
    if (choice.states == 2) return stage_codec16_of<Format, GradCodec, 2>(choice);
    if (choice.states == 3) return stage_codec16_of<Format, GradCodec, 3>(choice);
    if (choice.states == 4) return stage_codec16_of<Format, GradCodec, 4>(choice);
  }
  return stage_codec16_of<Format, GradCodec, 1>(choice);
}

template <class Format>
requires(!Format::kAllFloat32 && !Format::kQuantized) StageCodec stage_codec_of(const StageChoice& choice) {
  return choice.has_float32_gradients ? stage_codec16_of<Format, storage::Float32>(choice)
                                      : stage_codec16_of<Format, typename Format::LowGrad>(choice);
}

}  // namespace
}  // namespace onepass::cpu
