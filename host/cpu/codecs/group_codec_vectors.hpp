// group_codec_vectors.hpp - group_codec.hpp by AVX2 and AVX-512: a group is spans of two vectors of 32-bit
// numbers, or one of 16-bit words. The same operations as the codecs, in another order where it does not
// matter; the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "host/cpu/codecs/bytes.hpp"
#include "host/cpu/codecs/group_codec.hpp"
#include "onepass/storage/remainder8.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

using Whole = Bytes::Whole;
using Real = Bytes::Real;

/// Spans of a group.
constexpr int kSpans = storage::kBlock / kSpan;

/// A span's numbers of 32 bits, in the order that they have in float32.
struct Numbers {
  using Places = Lanes<Bytes::kOrder>;

  Whole first, last;

  static Numbers load(const void* from) {
    return {Bytes::load(from), Bytes::load(static_cast<const float*>(from) + Bytes::kLanes)};
  }
  /// Of lower and upper halves.
  static Numbers of(Whole lower, Whole upper) {
    return {Places::first(lower, upper), Places::last(lower, upper)};
  }
  /// Of upper halves, above zeros.
  static Numbers of(Whole upper) {
    const FirstAndLast wide = Places::widened(upper);
    return {wide.first, wide.last};
  }
  void store(float* to) const {
    Bytes::store(to, first);
    Bytes::store(to + Bytes::kLanes, last);
  }
  [[nodiscard]] Whole uppers() const { return Places::uppers(first, last); }
  [[nodiscard]] Whole lowers() const { return Places::lowers(first, last); }
};

inline Whole all(storage::Bits x) { return Bytes::all(x); }

template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void load_params(const typename Format::Param::Element* param,
                        const typename Format::Param::Remainder* remainder, float* __restrict values,
                        int count, Format /*of*/) {
  for (int i = 0; i < count; i += kSpan) {
    const Whole element = Bytes::load(param + i), rest = Bytes::load_signed(remainder + i);
    Whole lower = Bytes::words_left<8>(rest);
    Whole upper = Bytes::add_words(element, Bytes::signed_words_right<8>(rest));
    // A zero with an old remainder: rare.
    const Whole turned = Bytes::differ(upper, element);
    if (__builtin_expect(Bytes::any_negative(turned), 0)) {
      lower = Bytes::select_if_greater(all(0), turned, all(0), lower);
      upper = Bytes::select_if_greater(all(0), turned, element, upper);
    }
    Numbers::of(lower, upper).store(values + i);
  }
}

/// Of 24 bits the element has the upper 16, and one more where the others round up to half of its last place:
/// from 0x7f80 on, a tie that goes to even. The remainder is what their upper byte is then.
template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void store_params(const float* __restrict values, typename Format::Param::Element* param,
                         typename Format::Param::Remainder* remainder, int count, Format /*of*/) {
  for (int at = 0; at < count; at += storage::kBlock) {
    Whole bytes[kSpans];
    for (int i = 0; i < kSpans; ++i) {
      const auto x = Split<Bytes::kOrder>::canonical(values + at + i * kSpan);
      Bytes::store(param + at + i * kSpan, Bytes::plus_one_if_above(x.upper, x.lower, all(0x7f7f7f7fu)));
      const Whole odd = Bytes::both(Bytes::words_right<8>(x.lower), Bytes::all_words(1));
      const Whole rounded = Bytes::add_words(Bytes::add_words(x.lower, Bytes::all_words(0x7f)), odd);
      bytes[i] = Bytes::words_right<8>(rounded);
    }
    Bytes::store_bytes(remainder + at, bytes);
  }
}

inline void load_grads(const std::uint16_t* grad, float* __restrict values, int count,
                       storage::BFloat16 /*of*/) {
  for (int i = 0; i < count; i += kSpan) Numbers::of(Bytes::load(grad + i)).store(values + i);
}

inline void load_grads(const float* grad, float* __restrict values, int count, storage::Float32 /*of*/) {
  for (int i = 0; i < count; i += kSpan) {
    const Numbers x = Numbers::load(grad + i);
    Numbers{Bytes::first_in_order(x.first, x.last), Bytes::last_in_order(x.first, x.last)}.store(values + i);
  }
}

/// Decodes spans of a group with that scale.
template <class Codec>
struct Decoder;

template <>
struct Decoder<Signed8> {
  Real up, down;

  explicit Decoder(float scale)
      : up(Bytes::reals(scale * Signed8::kStep)), down(Bytes::reals(-(scale * Signed8::kStep))) {}
  [[nodiscard]] Numbers operator()(const std::int8_t* from) const {
    const Whole codes = Bytes::load_signed(from);
    constexpr int kUpperShift = Signed8::kShift - 16, kUpperOne = Signed8::kOne >> 16;
    const Numbers y = Numbers::of(Bytes::add_words(Bytes::words_left<kUpperShift>(Bytes::magnitudes(codes)),
                                                   Bytes::all_words(kUpperOne)));
    const auto by = Bytes::by_sign(codes, up, down);
    const auto restored = [](Whole curve, Real step) {
      return Bytes::whole(Bytes::multiply_subtract(Bytes::real(curve), step, step));
    };
    return {restored(y.first, by.first), restored(y.last, by.last)};
  }
};

template <>
struct Decoder<Nonnegative8> {
  Real step, wholes;

  explicit Decoder(float scale)
      : step(Bytes::reals(scale * Nonnegative8::kStep)),
        wholes(Bytes::reals(Nonnegative8::kWholes * (scale * Nonnegative8::kStep))) {}
  [[nodiscard]] Numbers operator()(const std::uint8_t* from) const {
    const Numbers whole =
        Numbers::of(Bytes::load_unsigned(from), Bytes::all_words(Nonnegative8::kWhole >> 16));
    const auto restored = [this](Whole number) {
      const Real root = Bytes::multiply_subtract(Bytes::real(number), step, wholes);
      return Bytes::whole(Bytes::multiply(root, root));
    };
    return {restored(whole.first), restored(whole.last)};
  }
};

template <class Codec>
inline void load_group(const GroupedState<Codec>& state, float* __restrict values) {
  const Decoder<Codec> decoded(storage::BFloat16::decode(*state.scales));
  for (int i = 0; i < storage::kBlock; i += kSpan) decoded(state.codes + i).store(values + i);
}

/// What Dither adds for each element of a group.
alignas(64) inline constexpr auto kTurns = [] {
  std::array<storage::Bits, storage::kBlock> turns{};
  for (int element = 0; element < storage::kBlock; ++element) {
    turns[static_cast<std::size_t>(place_of(element))] = storage::Dither::turn(element);
  }
  return turns;
}();

/// The lattice of dither.hpp, from a group's element `first` on.
inline Numbers lattice(storage::Dither dither, int first) {
  const Numbers turns = Numbers::load(kTurns.data() + first);
  return {Bytes::add(turns.first, all(dither.upper())), Bytes::add(turns.last, all(dither.upper()))};
}

/// A code's magnitude from bit kShift on, below x's sign.
inline Whole encoded(Whole x, Whole noise, Real inverse, Signed8 /*codec*/) {
  constexpr storage::Bits kFineMask = (1u << Signed8::kFine) - 1, kHalf = 1u << (Signed8::kFine - 1);
  // What is subtracted for the curve's beginning has no bit where the noise has some.
  constexpr storage::Bits kBegin = 0u - Signed8::kOne;
  static_assert((kBegin & ((1u << Signed8::kShift) - 1)) == 0);
  const Whole coarse = Bytes::right<32 - storage::kNoiseBits - Signed8::kFine>(noise);
  const Whole steps = Bytes::or_both(all(kBegin | kHalf), coarse, all(~kFineMask));
  const Whole one = Bytes::or_both(all(Signed8::kOne), x, all(storage::kSign));
  const Real y = Bytes::multiply_add(Bytes::real(x), inverse, Bytes::real(one));
  return Bytes::add(Bytes::whole(y), steps);
}

/// The code from bit kNoiseBits on.
inline Whole encoded(Whole root, Whole noise, Real inverse, Nonnegative8 /*codec*/) {
  const Real fixed = Bytes::multiply_add(Bytes::real(root), inverse, Bytes::reals(Nonnegative8::kFixed));
  return Bytes::add(Bytes::whole(fixed), Bytes::right<32 - storage::kNoiseBits>(noise));
}

/// Codes of a span, as the lower bytes of words.
inline Whole codes_of(const Numbers& x, const Numbers& noise, Real inverse, Signed8 codec) {
  const Numbers curve{encoded(x.first, noise.first, inverse, codec),
                      encoded(x.last, noise.last, inverse, codec)};
  const Whole upper = curve.uppers();
  return Bytes::with_sign_of(Bytes::words_right<Signed8::kShift - 16>(upper), upper);
}

inline Whole codes_of(const Numbers& root, const Numbers& noise, Real inverse, Nonnegative8 codec) {
  const Numbers rounded{Bytes::right<storage::kNoiseBits>(encoded(root.first, noise.first, inverse, codec)),
                        Bytes::right<storage::kNoiseBits>(encoded(root.last, noise.last, inverse, codec))};
  // What is above 0 has a root far above the denormals, whose upper half is above 0 too. In lower halves
  // codes stand above the end of kFixed's.
  constexpr auto kZero = __builtin_bit_cast(storage::Bits, Nonnegative8::kFixed) >> storage::kNoiseBits;
  const Whole zero = Bytes::all_words(kZero & 0xffffu);
  const Whole least = Bytes::add_words(Bytes::smaller_words(root.uppers(), Bytes::all_words(1)), zero);
  return Bytes::larger_words(rounded.lowers(), least);
}

template <class Codec>
inline void store_codes(const float* staged, storage::Dither dither, float inverse,
                        typename Codec::Code* codes) {
  Whole bytes[kSpans];
  for (int i = 0; i < kSpans; ++i) {
    bytes[i] = Bytes::lower_bytes(codes_of(Numbers::load(staged + i * kSpan), lattice(dither, i * kSpan),
                                           Bytes::reals(inverse), Codec{}));
  }
  Bytes::store_bytes(codes, bytes);
}

/// A vector that has the largest magnitude of a group.
inline Whole largest_of(const float* staged) {
  Whole largest = all(0);
  for (int i = 0; i < storage::kBlock; i += Bytes::kLanes) {
    const Whole magnitude = Bytes::both(Bytes::load(staged + i), all(storage::kMagnitude));
    largest = i == 0 ? magnitude : Bytes::larger(largest, magnitude);
  }
  return largest;
}

/// Codec::scale() of each, in 32 bits.
template <class Codec>
inline Whole scales_of(Whole largest) {
  const Whole up = Bytes::down(Bytes::add(largest, all(0xffff)));
  const Whole scale =
      Bytes::choose_if_greater(all(storage::kInfinity), largest, up, all(storage::BFloat16::kNaN));
  if constexpr (std::same_as<Codec, Nonnegative8>) return scale;
  return Bytes::zero_unless_greater(largest, all(Signed8::kLeast - 1), scale);
}

/// What is encoded with: Codec::inverse() of each scale that is finite; and a bit for each that is not.
struct Scales {
  alignas(64) float inverse[kStagedGroups];
  unsigned infinite;
};

/// Stores the scales of `groups` groups.
template <class Codec>
inline Scales store_scales(const float* staged, int groups, std::uint16_t* scales) {
  Scales result;
  result.infinite = 0;
  for (int first = 0; first < kStagedGroups; first += Bytes::kLanes) {
    Whole largest[Bytes::kLanes];
    for (int i = 0; i < Bytes::kLanes; ++i) largest[i] = largest_of(staged + (first + i) * storage::kBlock);
    const Whole stored = scales_of<Codec>(Bytes::largest_of_each(largest));
    Bytes::store_lowers(scales + first, stored, groups - first);
    const Whole scale = Bytes::up(stored);
    const Real inverse = Bytes::divide(Bytes::reals(Codec::kCodes), Bytes::real(scale));
    Bytes::store(result.inverse + first, Bytes::zero_unless_greater(scale, all(0), Bytes::whole(inverse)));
    result.infinite |= Bytes::where_greater(scale, all(storage::kInfinity - 1)) << first;
  }
  return result;
}

template <int kHalves, class Codec>
inline void store_groups(const float* staged, int groups, const std::uint16_t* halves,
                         GroupedState<Codec> state) {
  const Scales scales = store_scales<Codec>(staged, groups, state.scales);
  for (int group = 0; group < groups; ++group) {
    const int at = group * storage::kBlock;
    const storage::Dither dither{halves[kHalves * group]};
    store_codes<Codec>(staged + at, dither, scales.inverse[group], state.codes + at);
  }
  if (__builtin_expect(scales.infinite == 0, 1)) return;
  for (int group = 0; group < groups; ++group) {
    if ((scales.infinite >> group & 1u) != 0) {
      std::fill_n(state.codes + group * storage::kBlock, storage::kBlock, typename Codec::Code{0});
    }
  }
}

}  // namespace
}  // namespace onepass::cpu
