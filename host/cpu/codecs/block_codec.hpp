// block_codec.hpp - 32 numbers of 16 bits between memory and float32, a vector at a time where there is AVX2
// or AVX-512. The same bits as the codecs make, in fewer operations. Compiled once for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "host/cpu/codecs/halves.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/dither.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/split_bfloat16.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// Elements that pass at once: those that share a half word of random bits.
using storage::kBlock;

/// To the nearest; the other way to round is a storage::Dither.
struct Nearest {};

/// The same, and to bfloat16 by the processor itself: Stores::narrows.
struct Narrowed : Nearest {};

/// A stream's block, element by element.
template <class Codec>
struct ElementCodec {
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

/// A stream's block: what is not made here for another order has the natural one.
template <class Codec, Order kOrder>
struct BlockCodec : ElementCodec<Codec> {
  static_assert(kOrder == Order::natural);
};

/// Whether a codec's block can lie in pairs: a codec of one stream, or a parameter's.
template <class Codec>
inline constexpr bool kHasPairs = false;

/// Whether a processor may round to it itself: a codec of one stream, or a parameter's.
template <class Codec>
inline constexpr bool kHasNarrowed = false;

#if defined(__AVX2__)

/// Elements of a vector of 16-bit numbers.
constexpr int kSpan = 2 * Halves::kLanes;

/// NaN in float32: its upper half is bfloat16's, and binary16 makes its own of it.
constexpr storage::Bits kNaN = storage::Bits{storage::BFloat16::kNaN} << 16;

/// kSpan numbers of float32, as lanes of 16 bits.
template <Order kOrder>
struct Split {
  using H = Halves;
  H::Whole upper, lower;

  static Split of(H::Whole first, H::Whole last) {
    return {Lanes<kOrder>::uppers(first, last), Lanes<kOrder>::lowers(first, last)};
  }
  static Split of(const float* from) { return of(H::load(from), H::load(from + H::kLanes)); }
  /// Every NaN is kNaN.
  static Split canonical(const float* from) {
    H::Real first = H::real(H::load(from)), last = H::real(H::load(from + H::kLanes));
    if (__builtin_expect(H::any_nan(first, last), 0)) {
      first = H::unless_nan(first, H::all(kNaN));
      last = H::unless_nan(last, H::all(kNaN));
    }
    return of(H::whole(first), H::whole(last));
  }
  [[nodiscard]] H::Whole magnitude() const { return H::both(upper, H::all(0x7fff7fffu)); }
  /// The same of halves, where they are looked at already: a NaN that arithmetic leaves is quiet, and its
  /// upper half above infinity.
  [[nodiscard]] Split with_canonical_nan() const {
    const H::Whole infinity = H::all_halves(storage::kInfinity >> 16), size = magnitude();
    return {H::select_if_greater(size, infinity, H::all_halves(storage::BFloat16::kNaN), upper),
            H::select_if_greater(size, infinity, H::all(0), lower)};
  }
};

template <Order kOrder>
ONEPASS_LANE Halves::Whole rounded(const float* from, int /*first*/, Nearest /*how*/) {
  const auto x = Split<kOrder>::canonical(from);
  return Halves::to_nearest(x.upper, x.lower);
}

#if defined(__AVX512BW__)

/// Halves of the first lanes and then of the last, as they are stored.
template <Order kOrder>
ONEPASS_LANE Halves::Whole in_order(Halves::Whole halves) {
  if constexpr (kOrder == Order::natural) return halves;
  return _mm512_permutexvar_epi16(Halves::load(kPlaces<Taken::halves_in_turn>.data()), halves);
}

/// What the processor does not round as IEEE says is rare, and rounded as if it could not.
template <Order kOrder>
ONEPASS_LANE Halves::Whole rounded(const float* from, int first, Narrowed /*how*/) {
  using H = Halves;
  const H::Real low = H::real(H::load(from)), high = H::real(H::load(from + H::kLanes));
  if (__builtin_expect(H::ordinary(low, high), 1)) return in_order<kOrder>(H::narrowed(low, high));
  return rounded<kOrder>(from, first, Nearest{});
}

#endif

/// The complement of what Dither adds to the 16 bits it uses, for each element of a block, as its halves lie.
template <Order kOrder>
alignas(64) inline constexpr auto kHalfTurns = [] {
  std::array<std::uint16_t, kBlock> turns{};
  for (int i = 0; i < kBlock; ++i) {
    const int element = i / kSpan * kSpan + Lanes<kOrder>::element_of_half(i % kSpan);
    turns[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(~storage::Dither::turn(element) >> 16);
  }
  return turns;
}();

/// The lower half and its noise carry where the half is above the noise's complement: ~(half + turn) is
/// ~turn - half. From the largest finite number on to the nearest.
template <Order kOrder>
ONEPASS_LANE Halves::Whole rounded(const float* from, int first, storage::Dither dither) {
  using H = Halves;
  const H::Whole below = H::all_halves(storage::BFloat16::kLargest - 1);
  auto x = Split<kOrder>::of(from);
  H::Whole room =
      H::subtract_halves(H::load(kHalfTurns<kOrder>.data() + first), H::all_halves(dither.half()));
  if (const H::Whole size = x.magnitude(); __builtin_expect(H::any_greater(size, below), 0)) {
    room = H::select_if_greater(size, below, H::all_halves(0x7fff), room);
    x = x.with_canonical_nan();
  }
  return H::plus_one_if_above(x.upper, x.lower, room);
}

template <>
inline constexpr bool kHasPairs<storage::BFloat16> = true;

#if defined(__AVX512BW__)
template <>
inline constexpr bool kHasNarrowed<storage::BFloat16> = true;
#endif

template <Order kOrder>
struct BlockCodec<storage::BFloat16, kOrder> {
  static ONEPASS_LANE void decode(const std::uint16_t* from, float* to) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const FirstAndLast wide = Lanes<kOrder>::widened(from + i);
      Halves::store(to + i, wide.first);
      Halves::store(to + i + Halves::kLanes, wide.last);
    }
  }
  /// How: Nearest, Narrowed or storage::Dither.
  template <class How>
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, How how, Writes writes = {}) {
    for (int i = 0; i < kBlock; i += kSpan) {
      Halves::write(to + i, Lanes<kOrder>::stored(rounded<kOrder>(from + i, i, how)), writes);
    }
  }
};

template <>
struct BlockCodec<storage::Float16, Order::natural> : ElementCodec<storage::Float16> {
  using H = Halves;
  using ElementCodec<storage::Float16>::encode;

  static ONEPASS_LANE void decode(const std::uint16_t* from, float* to) {
    for (int i = 0; i < kBlock; i += H::kLanes) H::store(to + i, H::whole(H::from_binary16(from + i)));
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* to, Nearest /*how*/, Writes writes = {}) {
    for (int i = 0; i < kBlock; i += H::kLanes) {
      H::to_binary16(to + i, H::unless_nan(H::real(H::load(from + i)), H::all(kNaN)), writes);
    }
  }
};

template <>
inline constexpr bool kHasPairs<storage::SplitBFloat16> = true;

/// The remainder's sign takes one from the element, except where that turned the element's own.
template <Order kOrder>
ONEPASS_LANE FirstAndLast joined(const std::uint16_t* elements, const std::uint16_t* remainders) {
  using H = Halves;
  const H::Whole element = H::load(elements), remainder = H::load(remainders);
  const H::Whole less = H::minus_one_if_negative(element, remainder);
  const H::Whole turned = H::differ(less, element);
  const H::Whole upper = H::select_if_greater(H::all(0), turned, element, less);
  const H::Whole lower = H::select_if_greater(H::all(0), turned, H::all(0), remainder);
  return {Lanes<kOrder>::first(lower, upper), Lanes<kOrder>::last(lower, upper)};
}

#if !defined(__AVX512BW__)

/// The same in lanes of 32 bits, which is what widened() makes: the sum takes the one away by itself.
template <>
ONEPASS_LANE FirstAndLast joined<Order::natural>(const std::uint16_t* elements,
                                                 const std::uint16_t* remainders) {
  using H = Halves;
  const auto join = [](H::Whole element, H::Whole remainder) {
    const H::Whole sum = _mm256_add_epi32(element, _mm256_srai_epi32(remainder, 16));
    return H::whole(_mm256_blendv_ps(H::real(sum), H::real(element), H::real(H::differ(sum, element))));
  };
  const FirstAndLast element = Lanes<Order::natural>::widened(elements);
  const FirstAndLast remainder = Lanes<Order::natural>::widened(remainders);
  return {join(element.first, remainder.first), join(element.last, remainder.last)};
}

#endif

/// A parameter in two streams.
template <Order kOrder>
struct SplitBlock {
  using H = Halves;

  static ONEPASS_LANE void decode(const std::uint16_t* elements, const std::uint16_t* remainders, float* to) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const FirstAndLast wide = joined<kOrder>(elements + i, remainders + i);
      H::store(to + i, wide.first);
      H::store(to + i + H::kLanes, wide.last);
    }
  }
  static ONEPASS_LANE void encode(const float* from, std::uint16_t* elements, std::uint16_t* remainders,
                                  Nearest /*how*/, Writes /*writes*/) {
    for (int i = 0; i < kBlock; i += kSpan) {
      const auto x = Split<kOrder>::canonical(from + i);
      const H::Whole element = H::plus_one_if_negative(x.upper, x.lower);
      H::store(elements + i, Lanes<kOrder>::stored(element));
      H::store(remainders + i, Lanes<kOrder>::stored(x.lower));
    }
  }
};

#endif

}  // namespace
}  // namespace onepass::cpu
