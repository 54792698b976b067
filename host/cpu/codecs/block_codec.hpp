// block_codec.hpp - converts a block of 32 16-bit elements to float32 and back, by whole vectors with AVX2 or
// AVX-512. It yields the same bits as the codecs in storage/, in fewer operations. Compiled once for each
// instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "host/cpu/codecs/stores.hpp"
#include "host/cpu/codecs/vector16.hpp"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/dither.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/split_bfloat16.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Elements that are converted at once: those that share one half of random bits.
using storage::kBlock;

// How a block is rounded: Nearest, NearestByInstruction or storage::Dither.

/// To nearest even.
struct Nearest {};

/// To nearest even, where the processor has an instruction that rounds to bfloat16
/// (Stores::has_bf16_instruction).
struct NearestByInstruction : Nearest {};

/// Converts a block element by element.
template <class Codec>
struct ScalarBlockCodec {
  static ONEPASS_LANE void decode(const std::uint16_t* from, float* to) {
    for (int i = 0; i < kBlock; ++i) to[i] = Codec::decode(from[i]);
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, Nearest /*how*/,
                                  Writes /*writes*/ = {}) {
    for (int i = 0; i < kBlock; ++i) to[i] = Codec::encode(from[i]);
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, storage::Dither dither) {
    for (int i = 0; i < kBlock; ++i) to[i] = Codec::encode_stochastic(from[i], dither.at<16>(i));
  }
};

/// Converts a block of one stream. A codec without a specialisation goes element by element, in natural
/// order.
template <class Codec, Order kOrder>
struct BlockCodec : ScalarBlockCodec<Codec> {
  static_assert(kOrder == Order::natural);
};

/// True if a block of a codec can be converted in Order::pairs. For codecs of one stream and of parameters.
template <class Codec>
inline constexpr bool kHasPairs = false;

/// True if NearestByInstruction applies to a codec. For codecs of one stream and of parameters.
template <class Codec>
inline constexpr bool kHasNearestByInstruction = false;

#if defined(__AVX2__)

/// Elements of a span: those that one vector of 16-bit elements holds.
constexpr int kSpan = 2 * Vector16::kLanes;

/// The NaN that every NaN becomes, in float32. Its upper 16 bits are bfloat16's canonical NaN, and the
/// conversion to binary16 makes binary16's canonical NaN of it.
constexpr storage::Bits kNaN = storage::Bits{storage::BFloat16::kNaN} << 16;

/// A span of float32, as its upper and its lower 16 bits: two vectors of 16-bit lanes.
template <Order kOrder>
struct Split {
  using V = Vector16;
  V::Whole upper, lower;

  static Split of(V::Whole first, V::Whole last) {
    return {Layout<kOrder>::uppers(first, last), Layout<kOrder>::lowers(first, last)};
  }
  static Split of(const float* from) { return of(V::load(from), V::load(from + V::kLanes)); }
  /// Splits kSpan numbers after replacing each NaN by kNaN.
  static Split canonical(const float* from) {
    V::Real first = V::real(V::load(from)), last = V::real(V::load(from + V::kLanes));
    if (__builtin_expect(V::any_nan(first, last), 0)) {
      first = V::replace_nan(first, V::all(kNaN));
      last = V::replace_nan(last, V::all(kNaN));
    }
    return of(V::whole(first), V::whole(last));
  }
  /// The upper 16 bits without the sign.
  [[nodiscard]] V::Whole magnitude() const { return V::bit_and(upper, V::all(0x7fff7fffu)); }
  /// Replaces each NaN by kNaN. It finds a NaN by its upper 16 bits, which lie above those of infinity, as
  /// every NaN that arithmetic yields is quiet.
  [[nodiscard]] Split with_canonical_nan() const {
    const V::Whole infinity = V::all16(storage::kInfinity >> 16), size = magnitude();
    return {V::select_if_greater16(size, infinity, V::all16(storage::BFloat16::kNaN), upper),
            V::select_if_greater16(size, infinity, V::all(0), lower)};
  }
};

/// Rounds a span of a block to bfloat16. `first` is the number of its first element in the block.
template <Order kOrder>
ONEPASS_LANE Vector16::Whole rounded(const float* from, int /*first*/, Nearest /*how*/) {
  const auto x = Split<kOrder>::canonical(from);
  return Vector16::round_to_even(x.upper, x.lower);
}

#if defined(__AVX512BW__)

/// Brings a span whose first half came from the first vector, and its last half from the last, into the order
/// in memory.
template <Order kOrder>
ONEPASS_LANE Vector16::Whole in_order(Vector16::Whole span) {
  if constexpr (kOrder == Order::natural) return span;
  return _mm512_permutexvar_epi16(Vector16::load(kIndices<Permutation::interleave_halves>.data()), span);
}

/// The instruction does not round denormals and NaN as IEEE 754 says. They are rare: a span that holds one is
/// rounded without the instruction.
template <Order kOrder>
ONEPASS_LANE Vector16::Whole rounded(const float* from, int first, NearestByInstruction /*how*/) {
  using V = Vector16;
  const V::Real low = V::real(V::load(from)), high = V::real(V::load(from + V::kLanes));
  if (__builtin_expect(V::no_denormal_or_nan(low, high), 1))
    return in_order<kOrder>(V::to_bfloat16(low, high));
  return rounded<kOrder>(from, first, Nearest{});
}

#endif

/// The noise of element i is the block's random half plus an offset, modulo 2^16 (storage::Dither). This
/// table has the complement of each element's offset, in the order of Split.
template <Order kOrder>
alignas(64) inline constexpr auto kInvertedOffsets = [] {
  std::array<std::uint16_t, kBlock> inverted{};
  for (int i = 0; i < kBlock; ++i) {
    const int element = i / kSpan * kSpan + Layout<kOrder>::element_at(i % kSpan);
    inverted[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(~storage::Dither::turn(element) >> 16);
  }
  return inverted;
}();

/// Adds noise to the lower 16 bits and keeps the carry. There is a carry where the lower 16 bits are above
/// the complement of the noise, `room`: ~(half + offset) = ~offset - half. From the largest finite bfloat16
/// on, `room` is 0x7fff, so that these numbers round to nearest.
template <Order kOrder>
ONEPASS_LANE Vector16::Whole rounded(const float* from, int first, storage::Dither dither) {
  using V = Vector16;
  const V::Whole below = V::all16(storage::BFloat16::kLargest - 1);
  auto x = Split<kOrder>::of(from);
  V::Whole room = V::subtract16(V::load(kInvertedOffsets<kOrder>.data() + first), V::all16(dither.half()));
  if (const V::Whole size = x.magnitude(); __builtin_expect(V::any_greater16(size, below), 0)) {
    room = V::select_if_greater16(size, below, V::all16(0x7fff), room);
    x = x.with_canonical_nan();
  }
  return V::plus_one_if_above16(x.upper, x.lower, room);
}

template <>
inline constexpr bool kHasPairs<storage::BFloat16> = true;

#if defined(__AVX512BW__)
template <>
inline constexpr bool kHasNearestByInstruction<storage::BFloat16> = true;
#endif

template <Order kOrder>
struct BlockCodec<storage::BFloat16, kOrder> {
  static ONEPASS_LANE void decode(const std::uint16_t* from, float* to) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const FirstAndLast wide = Layout<kOrder>::widened(from + i);
      Vector16::store(to + i, wide.first);
      Vector16::store(to + i + Vector16::kLanes, wide.last);
    }
  }
  template <class How>
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, How how, Writes writes = {}) {
    for (int i = 0; i < kBlock; i += kSpan) {
      Vector16::write(to + i, Layout<kOrder>::stored(rounded<kOrder>(from + i, i, how)), writes);
    }
  }
};

template <>
struct BlockCodec<storage::Float16, Order::natural> : ScalarBlockCodec<storage::Float16> {
  using V = Vector16;
  using ScalarBlockCodec<storage::Float16>::encode;

  static ONEPASS_LANE void decode(const std::uint16_t* from, float* to) {
    for (int i = 0; i < kBlock; i += V::kLanes) V::store(to + i, V::whole(V::load_binary16(from + i)));
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, Nearest /*how*/, Writes writes = {}) {
    for (int i = 0; i < kBlock; i += V::kLanes) {
      V::store_binary16(to + i, V::replace_nan(V::real(V::load(from + i)), V::all(kNaN)), writes);
    }
  }
};

template <>
inline constexpr bool kHasPairs<storage::SplitBFloat16> = true;

/// Joins elements and remainders of storage::SplitBFloat16. A negative remainder takes one from the element,
/// except where that would change the element's own sign: there the remainder is taken for 0.
template <Order kOrder>
ONEPASS_LANE FirstAndLast joined(const std::uint16_t* elements, const std::uint16_t* remainders) {
  using V = Vector16;
  const V::Whole element = V::load(elements), remainder = V::load(remainders);
  const V::Whole less = V::minus_one_if_negative16(element, remainder);
  const V::Whole changed = V::bit_xor(less, element);
  const V::Whole upper = V::select_if_greater16(V::all(0), changed, element, less);
  const V::Whole lower = V::select_if_greater16(V::all(0), changed, V::all(0), remainder);
  return {Layout<kOrder>::first(lower, upper), Layout<kOrder>::last(lower, upper)};
}

#if !defined(__AVX512BW__)

/// The same in lanes of 32 bits, which widened() yields: the sum of element and signed remainder takes the
/// one away by itself.
template <>
ONEPASS_LANE FirstAndLast joined<Order::natural>(const std::uint16_t* elements,
                                                 const std::uint16_t* remainders) {
  using V = Vector16;
  const auto join = [](V::Whole element, V::Whole remainder) {
    const V::Whole sum = _mm256_add_epi32(element, _mm256_srai_epi32(remainder, 16));
    return V::whole(_mm256_blendv_ps(V::real(sum), V::real(element), V::real(V::bit_xor(sum, element))));
  };
  const FirstAndLast element = Layout<Order::natural>::widened(elements);
  const FirstAndLast remainder = Layout<Order::natural>::widened(remainders);
  return {join(element.first, remainder.first), join(element.last, remainder.last)};
}

#endif

/// Converts a block of a parameter stored as storage::SplitBFloat16, in two streams.
template <Order kOrder>
struct SplitParamBlockCodec {
  using V = Vector16;

  static ONEPASS_LANE void decode(const std::uint16_t* elements, const std::uint16_t* remainders, float* to) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const FirstAndLast wide = joined<kOrder>(elements + i, remainders + i);
      V::store(to + i, wide.first);
      V::store(to + i + V::kLanes, wide.last);
    }
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* elements, std::uint16_t* remainders,
                                  Nearest /*how*/, Writes /*writes*/) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const auto x = Split<kOrder>::canonical(from + i);
      const V::Whole element = V::plus_one_if_negative16(x.upper, x.lower);
      V::store(elements + i, Layout<kOrder>::stored(element));
      V::store(remainders + i, Layout<kOrder>::stored(x.lower));
    }
  }
};

#endif

}  // namespace
}  // namespace onepass::cpu
