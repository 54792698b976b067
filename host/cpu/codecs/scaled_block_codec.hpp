// scaled_block_codec.hpp - converts blocks whose states have 8 bits and a scale to float32 and back: their
// parameters, gradients and states, element by element. scaled_block_vectors.hpp has vector versions.
// Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/param_codec.hpp"
#include "host/cpu/codecs/vector8.hpp"
#include "onepass/storage/quantized8.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using storage::Nonnegative8;
using storage::Signed8;

/// Number of blocks that are staged at a time, that is, kept in float32 until their scales are known. The
/// inverses of their scales take one vector division, and their random bits come from one DrawnHalves.
constexpr int kStagedBlocks = 16;
constexpr int kStagedElements = kStagedBlocks * storage::kBlock;

/// Number of elements that are decoded to float32 before the rule moves them. One block with AVX2 and
/// AVX-512, where whole vectors fill and read the arrays, so that they stay in registers. All staged blocks
/// otherwise: there the loads write half vectors and the rule reads whole ones, which is slow unless the
/// stores are long done.
#if defined(__AVX2__)
constexpr int kMovedAtOnce = storage::kBlock;
#else
constexpr int kMovedAtOnce = kStagedElements;
#endif

/// One state of a chunk: its codes, and a scale for each block. Codec: Signed8 or Nonnegative8.
template <class Codec>
struct ScaledState {
  typename Codec::Code* codes;
  storage::Quantized8::Scale::Element* scales;

  [[nodiscard]] ScaledState from(std::int64_t block) const {
    return {codes + block * storage::kBlock, scales + block};
  }
};

/// The index of an element in the arrays of float32: where there are vectors, each span is in pairs.
constexpr int place_of(int element) {
#if defined(__AVX2__)
  return element / kSpan * kSpan + element % 2 * Vector8::kLanes + element % kSpan / 2;
#else
  return element;
#endif
}

/// Zeroes the staged values [first, last) of a block. A function of its own, because compilers unroll it
/// wherever it stands, and only a block that is cut calls it.
__attribute__((noinline)) inline void clear_elements(int first, int last, float* staged) {
  for (int i = first; i < last; ++i) staged[place_of(i)] = 0.0f;
}

/// Zeroes the staged values outside [first, last), where first < kBlock: they belong to no element of the
/// tensor, and must not count in a scale.
inline void clear_outside(int first, int last, float* staged) {
  const int whole = (last + storage::kBlock - 1) / storage::kBlock * storage::kBlock;
  if (first > 0) clear_elements(0, first, staged);
  if (last < whole) clear_elements(last, whole, staged);
  std::fill(staged + whole, staged + kStagedElements, 0.0f);
}

/// The random halves of consecutive blocks for one stream: one half for each block, `apart` halves apart.
struct BlockHalvesOf {
  const std::uint16_t* first;
  int apart;

  [[nodiscard]] ONEPASS_LANE storage::Dither of(int block) const {
    return storage::Dither{first[block * apart]};
  }
};

#if !defined(__AVX2__)

/// Decodes `count` parameters.
template <class Format>
inline void load_params(typename Format::Param::Element* param, typename Format::Param::Remainder* remainder,
                        float* __restrict values, int count, Format /*of*/) {
  for (int i = 0; i < count; ++i) values[i] = decode_param<Format>(param, remainder, i);
}

/// Encodes `count` parameters to nearest.
template <class Format>
inline void store_params(const float* __restrict values, typename Format::Param::Element* param,
                         typename Format::Param::Remainder* remainder, int count, Format /*of*/) {
  for (int i = 0; i < count; ++i) encode_param<Format>(values[i], param, remainder, i, Nearest{});
}

/// Encodes `count` parameters with random bits.
template <class Format>
inline void store_params_drawing(const float* __restrict values, typename Format::Param::Element* param,
                                 typename Format::Param::Remainder* remainder, int count,
                                 BlockHalvesOf halves, Format /*of*/) {
  for (int i = 0; i < count; ++i) {
    encode_param<Format>(values[i], param, remainder, i, halves.of(i / storage::kBlock));
  }
}

/// Decodes `count` gradients.
template <class GradCodec>
inline void load_grads(const typename GradCodec::Element* grad, float* __restrict values, int count,
                       GradCodec /*of*/) {
  for (int i = 0; i < count; ++i) values[i] = GradCodec::decode(grad[i]);
}

/// Decodes a block of a state.
template <class Codec>
inline void load_state_block(const ScaledState<Codec>& state, float* __restrict values) {
  storage::Quantized8::decode<Codec>(state.codes, *state.scales, storage::kBlock, values);
}

/// Encodes a block of a state, and its scale.
template <class Codec>
inline void store_state_block(const float* __restrict staged, storage::Dither dither,
                              ScaledState<Codec> state) {
  const auto noise = [&](int i) { return dither.at<storage::kNoiseBits>(i); };
  *state.scales = storage::Quantized8::encode<Codec>(staged, storage::kBlock, noise, state.codes);
}

/// Encodes at most kStagedBlocks blocks of staged values. `halves` has kPerBlock halves for each block; the
/// first of them is this state's.
template <int kPerBlock, class Codec>
inline void store_state_blocks(const float* staged, int blocks, const std::uint16_t* halves,
                               ScaledState<Codec> state) {
  for (int block = 0; block < blocks; ++block) {
    const int at = block * storage::kBlock;
    store_state_block<Codec>(staged + at, storage::Dither{halves[kPerBlock * block]},
                             {state.codes + at, state.scales + block});
  }
}

#endif

}  // namespace
}  // namespace onepass::cpu
