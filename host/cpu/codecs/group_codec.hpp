// group_codec.hpp - a group of elements between memory and float32, where states have 8 bits: its parameters,
// its gradients, its states. Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/bytes.hpp"
#include "host/cpu/loops/sweep_run.hpp"
#include "onepass/storage/quantized8.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

using storage::Nonnegative8;
using storage::Signed8;

/// Groups that are staged at a time: their scales take one division, and their random bits one draw.
constexpr int kStagedGroups = 16;
constexpr int kStaged = kStagedGroups * storage::kBlock;

/// Elements that are in float32 at a time between a load and a store. By whole vectors a group, in registers;
/// else what is stored in half vectors has to be long in memory when whole ones read it.
#if defined(__AVX2__)
constexpr int kMoved = storage::kBlock;
#else
constexpr int kMoved = kStaged;
#endif

/// One state of a chunk: codes, and a scale for each group.
template <class Codec>
struct GroupedState {
  typename Codec::Code* codes;
  std::uint16_t* scales;

  [[nodiscard]] GroupedState from(std::int64_t group) const {
    return {codes + group * storage::kBlock, scales + group};
  }
};

/// Where an element lies while it is float32.
constexpr int place_of(int element) {
#if defined(__AVX2__)
  if constexpr (Bytes::kOrder == Order::pairs) {
    return element / kSpan * kSpan + element % 2 * Bytes::kLanes + element % kSpan / 2;
  }
#endif
  return element;
}

// For any codec; group_codec_vectors.hpp has better ones for some.

template <class Format>
inline void load_params(const typename Format::Param::Element* param,
                        const typename Format::Param::Remainder* remainder, float* __restrict values,
                        int count, Format /*of*/) {
  for (int i = 0; i < count; ++i) values[place_of(i)] = decode_param<Format>(param, remainder, i);
}

template <class Format>
inline void store_params(const float* __restrict values, typename Format::Param::Element* param,
                         typename Format::Param::Remainder* remainder, int count, Format /*of*/) {
  for (int i = 0; i < count; ++i) encode_param<Format>(values[place_of(i)], param, remainder, i);
}

template <class GradCodec>
inline void load_grads(const typename GradCodec::Element* grad, float* __restrict values, int count,
                       GradCodec /*of*/) {
  for (int i = 0; i < count; ++i) values[place_of(i)] = GradCodec::decode(grad[i]);
}

#if !defined(__AVX2__)

template <class Codec>
inline void load_group(const GroupedState<Codec>& state, float* __restrict values) {
  const float scale = storage::BFloat16::decode(*state.scales);
  for (int i = 0; i < storage::kBlock; ++i) values[i] = Codec::decode(state.codes[i], scale);
}

template <class Codec>
inline void store_group(const float* __restrict staged, storage::Dither dither, GroupedState<Codec> state) {
  std::int32_t largest = 0;  // signed, and `<`: gcc leaves the other forms of a maximum scalar
  for (int i = 0; i < storage::kBlock; ++i) {
    const auto magnitude = static_cast<std::int32_t>(storage::magnitude_of(staged[i]));
    largest = largest < magnitude ? magnitude : largest;
  }
  *state.scales = Codec::scale(static_cast<storage::Bits>(largest));
  const float scale = storage::BFloat16::decode(*state.scales);
  for (int i = 0; i < storage::kBlock; ++i) {
    state.codes[i] = Codec::encode(staged[i], scale, dither.at<storage::kNoiseBits>(i));
  }
}

/// Of staged values, at most kStagedGroups groups. `halves`: kHalves a group, the first of which is
/// this state's.
template <int kHalves, class Codec>
inline void store_groups(const float* staged, int groups, const std::uint16_t* halves,
                         GroupedState<Codec> state) {
  for (int group = 0; group < groups; ++group) {
    const int at = group * storage::kBlock;
    store_group<Codec>(staged + at, storage::Dither{halves[kHalves * group]},
                       {state.codes + at, state.scales + group});
  }
}

#endif

}  // namespace
}  // namespace onepass::cpu

#if defined(__AVX2__)
#include "host/cpu/codecs/group_codec_vectors.hpp"
#endif
