// param_codec.hpp - converts a parameter and its remainder to float32 and back: one element, or a block
// of 32. Compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/storage/formats.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Element i of a parameter, in float32. `remainder` may be null if the format has no remainder.
template <class Format>
inline __attribute__((always_inline)) float decode_param(const typename Format::Param::Element* param,
                                                         const typename Format::Param::Remainder* remainder,
                                                         std::int64_t i) {
  if constexpr (Format::kHasRemainder) {
    return Format::Param::decode(param[i], remainder[i]);
  } else {
    return Format::Param::decode(param[i], {});
  }
}

/// Stores `value` as element i of a parameter. How: Nearest, or the Dither of the block's element 0, in which
/// `value` is element i modulo kBlock.
template <class Format, class How>
inline __attribute__((always_inline)) void encode_param(float value, typename Format::Param::Element* param,
                                                        typename Format::Param::Remainder* remainder,
                                                        std::int64_t i, [[maybe_unused]] How how) {
  typename Format::Param::Element element;
  typename Format::Param::Remainder rest;
  if constexpr (std::is_same_v<How, storage::Dither>) {
    Format::Param::encode_stochastic(value, element, rest, how.template at<16>(static_cast<int>(i % kBlock)));
  } else {
    Format::Param::encode(value, element, rest);
  }
  param[i] = element;
  if constexpr (Format::kHasRemainder) remainder[i] = rest;
}

template <class Codec>
inline constexpr bool kHasPairs<storage::Alone<Codec>> = kHasPairs<Codec>;
template <class Codec>
inline constexpr bool kHasNearestByInstruction<storage::Alone<Codec>> = kHasNearestByInstruction<Codec>;
template <class Low>
inline constexpr bool kHasNearestByInstruction<storage::WithMaster<Low>> = kHasNearestByInstruction<Low>;

/// Converts a block of a parameter and its remainder. A codec without a specialisation goes element by
/// element.
template <class Param, Order kOrder>
struct ParamBlockCodec {
  static_assert(kOrder == Order::natural);

  static ONEPASS_LANE void decode(const typename Param::Element* element,
                                  const typename Param::Remainder* remainder, float* to) {
    for (int i = 0; i < kBlock; ++i) to[i] = Param::decode(element[i], remainder[i]);
  }
  static ONEPASS_LANE void encode(const float* from, typename Param::Element* element,
                                  typename Param::Remainder* remainder, Nearest /*how*/, Writes /*writes*/) {
    for (int i = 0; i < kBlock; ++i) Param::encode(from[i], element[i], remainder[i]);
  }
  static ONEPASS_LANE void encode(const float* from, typename Param::Element* element,
                                  typename Param::Remainder* remainder, storage::Dither dither,
                                  Writes /*writes*/) {
    for (int i = 0; i < kBlock; ++i) {
      Param::encode_stochastic(from[i], element[i], remainder[i], dither.at<16>(i));
    }
  }
};

/// A parameter that is its own master: one stream.
template <class Codec, Order kOrder>
struct ParamBlockCodec<storage::Alone<Codec>, kOrder> {
  using Element = typename Codec::Element;
  using Remainder = storage::NoRemainder;

  static ONEPASS_LANE void decode(const Element* element, const Remainder* /*remainder*/, float* to) {
    BlockCodec<Codec, kOrder>::decode(element, to);
  }
  template <class How>
  static ONEPASS_LANE void encode(const float* from, Element* element, Remainder* /*remainder*/, How how,
                                  Writes /*writes*/) {
    BlockCodec<Codec, kOrder>::encode(from, element, how);
  }
};

/// A parameter beside a float32 master. The element is written only; the loop moves the master where it lies.
template <class Low, Order kOrder>
struct ParamBlockCodec<storage::WithMaster<Low>, kOrder> {
  using Element = typename Low::Element;

  template <class How>
  static ONEPASS_LANE void encode(const float* from, Element* element, float* /*master*/, How how,
                                  Writes writes) {
    BlockCodec<Low, kOrder>::encode(from, element, how, writes);
  }
};

#if defined(__AVX2__)

template <Order kOrder>
struct ParamBlockCodec<storage::SplitBFloat16, kOrder> : SplitParamBlockCodec<kOrder> {};

#endif

}  // namespace
}  // namespace onepass::cpu
