// scaled_block_vectors.hpp - scaled_block_codec.hpp with AVX2 and AVX-512. A block consists of spans; a span
// is two vectors of 32-bit lanes or one of 16-bit lanes. It yields the same bits as the codecs in storage/:
// the same operations, in another order where that makes no difference. Compiled once for each instruction
// set.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/scaled_block_codec.hpp"
#include "host/cpu/codecs/vector8.hpp"
#include "onepass/storage/remainder8.hpp"

#if defined(__AVX2__)

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using Whole = Vector8::Whole;
using Real = Vector8::Real;

/// Number of spans in a block.
constexpr int kSpans = storage::kBlock / kSpan;

/// A span of 32-bit numbers, in pairs.
struct Numbers {
  using Places = Layout<Order::pairs>;

  Whole first, last;

  static Numbers load(const void* from) {
    return {Vector8::load(from), Vector8::load(static_cast<const float*>(from) + Vector8::kLanes)};
  }
  /// Joins the lower and upper 16 bits of each number.
  static Numbers of(Whole lower, Whole upper) {
    return {Places::first(lower, upper), Places::last(lower, upper)};
  }
  /// Takes the upper 16 bits of each number; the lower ones are 0.
  static Numbers of(Whole upper) {
    const FirstAndLast wide = Places::widened(upper);
    return {wide.first, wide.last};
  }
  void store(float* to) const {
    Vector8::store(to, first);
    Vector8::store(to + Vector8::kLanes, last);
  }
  [[nodiscard]] Whole uppers() const { return Places::uppers(first, last); }
  [[nodiscard]] Whole lowers() const { return Places::lowers(first, last); }
};

/// The same number in each 32-bit lane.
inline Whole all(storage::Bits x) { return Vector8::all(x); }

/// storage::BFloat16Remainder8: adds the remainder, a signed byte, to the element's bits.
template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void load_params(typename Format::Param::Element* param, typename Format::Param::Remainder* remainder,
                        float* __restrict values, int count, Format /*of*/) {
  for (int i = 0; i < count; i += kSpan) {
    const Whole element = Vector8::load(param + i), rest = Vector8::load_signed(remainder + i);
    Whole lower = Vector8::shift_left16<8>(rest);
    Whole upper = Vector8::add16(element, Vector8::shift_right_signed16<8>(rest));
    // The sign changes only where a zero has a remainder that is out of date, which is rare.
    const Whole changed = Vector8::bit_xor(upper, element);
    if (__builtin_expect(Vector8::any_negative16(changed), 0)) {
      lower = Vector8::select_if_greater16(all(0), changed, all(0), lower);
      upper = Vector8::select_if_greater16(all(0), changed, element, upper);
    }
    Numbers::of(lower, upper).store(values + i);
  }
}

/// storage::BFloat16Remainder8 adds 8 bits of noise to a float32, keeps 24 bits, and rounds those to an
/// element of 16 bits, half away from zero. Here both are done on the lower 16 bits of the float32:
/// - The remainder is the upper byte of their sum with the noise.
/// - The element is the upper 16 bits of the float32, plus one where that sum is 0x8000 or more: where the
///   lower 16 bits are above 0x7fff - noise, `room`. kInvertedOffsets has the complement of the noise.
template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void store_params_drawing(const float* __restrict values, typename Format::Param::Element* param,
                                 typename Format::Param::Remainder* remainder, int count,
                                 BlockHalvesOf halves, Format /*of*/) {
  constexpr Order kOrder = Order::pairs;
  for (int at = 0; at < count; at += storage::kBlock) {
    const Whole half = Vector8::all16(halves.of(at / storage::kBlock).half());
    Whole bytes[kSpans];
    for (int i = 0; i < kSpans; ++i) {
      const auto x = Split<kOrder>::canonical(values + at + i * kSpan);
      const Whole inverted =
          Vector8::subtract16(Vector8::load(kInvertedOffsets<kOrder>.data() + i * kSpan), half);
      const Whole room = Vector8::add16(Vector8::shift_right16<8>(inverted), Vector8::all16(0x7f00));
      Vector8::store(param + at + i * kSpan, Vector8::plus_one_if_above16(x.upper, x.lower, room));
      const Whole sum = Vector8::add16(Vector8::subtract16(x.lower, room), Vector8::all16(0x7fff));
      bytes[i] = Vector8::shift_right16<8>(sum);
    }
    Vector8::store_bytes(remainder + at, bytes);
  }
}

/// Brings the numbers of a block from natural order into pairs.
inline void to_pairs(const float* natural, float* paired) {
  for (int i = 0; i < storage::kBlock; i += kSpan) {
    const Numbers x = Numbers::load(natural + i);
    Numbers{Vector8::evens(x.first, x.last), Vector8::odds(x.first, x.last)}.store(paired + i);
  }
}

/// Brings the numbers of a block from pairs into natural order.
inline void from_pairs(const float* paired, float* natural) {
  for (int i = 0; i < storage::kBlock; i += kSpan) {
    const Numbers x = Numbers::load(paired + i);
    Numbers{Vector8::first_of_pairs(x.first, x.last), Vector8::last_of_pairs(x.first, x.last)}.store(natural +
                                                                                                     i);
  }
}

/// One block of a parameter in any format, in pairs while it is float32.
template <class Format>
struct PairedParam {
  using Param = typename Format::Param;
  using Remainder = typename Param::Remainder;
  static constexpr bool kHasMaster = std::is_same_v<Remainder, float>;
  using InPairs = ParamBlockCodec<Param, kHasPairs<Param> ? Order::pairs : Order::natural>;

  typename Param::Element* element;
  Remainder* remainder;  ///< Null if the format has no remainder.

  void load(float* values) const {
    if constexpr (Format::kIsFloat32) {
      to_pairs(element, values);
    } else if constexpr (kHasMaster) {
      to_pairs(remainder, values);
    } else if constexpr (kHasPairs<Param>) {
      InPairs::decode(element, remainder, values);
    } else {
      alignas(64) float natural[storage::kBlock];
      InPairs::decode(element, remainder, natural);
      to_pairs(natural, values);
    }
  }
  /// How: Nearest or storage::Dither.
  template <class How>
  void store(const float* values, How how) const {
    if constexpr (Format::kIsFloat32) {
      from_pairs(values, element);
    } else if constexpr (kHasPairs<Param>) {
      InPairs::encode(values, element, remainder, how, Writes::through_cache);
    } else {
      alignas(64) float buffer[storage::kBlock];
      float* natural = buffer;
      if constexpr (kHasMaster) natural = remainder;
      from_pairs(values, natural);
      InPairs::encode(natural, element, remainder, how, Writes::through_cache);
    }
  }
};

/// The block at element i of a parameter.
template <class Format>
inline PairedParam<Format> paired_param(typename Format::Param::Element* param,
                                        typename Format::Param::Remainder* remainder, int i) {
  return {param + i, Format::kHasRemainder ? remainder + i : nullptr};
}

/// Decodes `count` parameters: whole blocks.
template <class Format>
inline void load_params(typename Format::Param::Element* param, typename Format::Param::Remainder* remainder,
                        float* __restrict values, int count, Format /*of*/) {
  for (int i = 0; i < count; i += storage::kBlock) {
    paired_param<Format>(param, remainder, i).load(values + i);
  }
}

/// Encodes `count` parameters to nearest: whole blocks.
template <class Format>
inline void store_params(const float* __restrict values, typename Format::Param::Element* param,
                         typename Format::Param::Remainder* remainder, int count, Format /*of*/) {
  for (int i = 0; i < count; i += storage::kBlock) {
    paired_param<Format>(param, remainder, i).store(values + i, Nearest{});
  }
}

/// Encodes `count` parameters with random bits: whole blocks.
template <class Format>
inline void store_params_drawing(const float* __restrict values, typename Format::Param::Element* param,
                                 typename Format::Param::Remainder* remainder, int count,
                                 BlockHalvesOf halves, Format /*of*/) {
  for (int i = 0; i < count; i += storage::kBlock) {
    paired_param<Format>(param, remainder, i).store(values + i, halves.of(i / storage::kBlock));
  }
}

inline void load_grads(const std::uint16_t* grad, float* __restrict values, int count,
                       storage::BFloat16 /*of*/) {
  for (int i = 0; i < count; i += kSpan) Numbers::of(Vector8::load(grad + i)).store(values + i);
}

inline void load_grads(const std::uint16_t* grad, float* __restrict values, int count,
                       storage::Float16 /*of*/) {
  for (int i = 0; i < count; i += storage::kBlock) {
    alignas(64) float natural[storage::kBlock];
    BlockCodec<storage::Float16, Order::natural>::decode(grad + i, natural);
    to_pairs(natural, values + i);
  }
}

inline void load_grads(const float* grad, float* __restrict values, int count, storage::Float32 /*of*/) {
  for (int i = 0; i < count; i += storage::kBlock) to_pairs(grad + i, values + i);
}

/// Decodes spans of a block that has the given scale.
template <class Codec>
struct Decoder;

template <>
struct Decoder<Signed8> {
  Real up, down;

  explicit Decoder(float scale)
      : up(Vector8::reals(scale * Signed8::kStep)), down(Vector8::reals(-(scale * Signed8::kStep))) {}
  [[nodiscard]] Numbers operator()(const std::int8_t* from) const {
    const Whole codes = Vector8::load_signed(from);
    constexpr int kUpperShift = Signed8::kShift - 16, kUpperOne = Signed8::kOne >> 16;
    const Numbers y = Numbers::of(Vector8::add16(
        Vector8::shift_left16<kUpperShift>(Vector8::magnitudes16(codes)), Vector8::all16(kUpperOne)));
    const auto by = Vector8::by_sign(codes, up, down);
    const auto restored = [](Whole curve, Real step) {
      return Vector8::whole(Vector8::multiply_subtract(Vector8::real(curve), step, step));
    };
    return {restored(y.first, by.first), restored(y.last, by.last)};
  }
};

template <>
struct Decoder<Nonnegative8> {
  Real step, wholes;

  explicit Decoder(float scale)
      : step(Vector8::reals(scale * Nonnegative8::kStep)),
        wholes(Vector8::reals(Nonnegative8::kWholes * (scale * Nonnegative8::kStep))) {}
  [[nodiscard]] Numbers operator()(const std::uint8_t* from) const {
    const Numbers whole =
        Numbers::of(Vector8::load_unsigned(from), Vector8::all16(Nonnegative8::kWhole >> 16));
    const auto restored = [this](Whole number) {
      const Real root = Vector8::multiply_subtract(Vector8::real(number), step, wholes);
      return Vector8::whole(Vector8::multiply(root, root));
    };
    return {restored(whole.first), restored(whole.last)};
  }
};

template <class Codec>
inline void load_state_block(const ScaledState<Codec>& state, float* __restrict values) {
  const Decoder<Codec> decoded(storage::Quantized8::Scale::decode(*state.scales));
  for (int i = 0; i < storage::kBlock; i += kSpan) decoded(state.codes + i).store(values + i);
}

/// The noise of element i is the block's random half plus an offset (storage::Dither). This table has the
/// offset of each element of a block, in the order of the float32 arrays.
alignas(64) inline constexpr auto kNoiseOffsets = [] {
  std::array<storage::Bits, storage::kBlock> offsets{};
  for (int element = 0; element < storage::kBlock; ++element) {
    offsets[static_cast<std::size_t>(place_of(element))] = storage::Dither::turn(element);
  }
  return offsets;
}();

/// The noise of a span, from index `first` of a block on.
inline Numbers noise_of(storage::Dither dither, int first) {
  const Numbers offsets = Numbers::load(kNoiseOffsets.data() + first);
  return {Vector8::add(offsets.first, all(dither.upper())), Vector8::add(offsets.last, all(dither.upper()))};
}

/// Signed8's code of x: its magnitude is in the bits from kShift on, below the sign of x.
inline Whole encoded(Whole x, Whole noise, Real inverse, Signed8 /*codec*/) {
  constexpr storage::Bits kFineMask = (1u << Signed8::kFine) - 1, kHalf = 1u << (Signed8::kFine - 1);
  // Subtracting kOne, where the curve begins, changes no bit that the noise uses, so that one sum does both.
  constexpr storage::Bits kBegin = 0u - Signed8::kOne;
  static_assert((kBegin & ((1u << Signed8::kShift) - 1)) == 0);
  const Whole coarse = Vector8::shift_right<32 - storage::kNoiseBits - Signed8::kFine>(noise);
  const Whole steps = Vector8::or_and(all(kBegin | kHalf), coarse, all(~kFineMask));
  const Whole one = Vector8::or_and(all(Signed8::kOne), x, all(storage::kSign));
  const Real y = Vector8::multiply_add(Vector8::real(x), inverse, Vector8::real(one));
  return Vector8::add(Vector8::whole(y), steps);
}

/// Nonnegative8's code of a root, in the bits from kNoiseBits on.
inline Whole encoded(Whole root, Whole noise, Real inverse, Nonnegative8 /*codec*/) {
  const Real fixed =
      Vector8::multiply_add(Vector8::real(root), inverse, Vector8::reals(Nonnegative8::kFixed));
  return Vector8::add(Vector8::whole(fixed), Vector8::shift_right<32 - storage::kNoiseBits>(noise));
}

/// The codes of a span, in the lower bytes of 16-bit lanes.
inline Whole codes_of(const Numbers& x, const Numbers& noise, Real inverse, Signed8 codec) {
  const Numbers curve{encoded(x.first, noise.first, inverse, codec),
                      encoded(x.last, noise.last, inverse, codec)};
  const Whole upper = curve.uppers();
  return Vector8::with_sign_of16(Vector8::shift_right16<Signed8::kShift - 16>(upper), upper);
}

inline Whole codes_of(const Numbers& root, const Numbers& noise, Real inverse, Nonnegative8 codec) {
  const Numbers rounded{
      Vector8::shift_right<storage::kNoiseBits>(encoded(root.first, noise.first, inverse, codec)),
      Vector8::shift_right<storage::kNoiseBits>(encoded(root.last, noise.last, inverse, codec))};
  // A root above 0 is far above the denormals, so its upper 16 bits are above 0 too, and the minimum with 1
  // says whether it is above 0. In the lower 16 bits, codes are offset by those of kFixed.
  constexpr auto kZero = __builtin_bit_cast(storage::Bits, Nonnegative8::kFixed) >> storage::kNoiseBits;
  const Whole zero = Vector8::all16(kZero & 0xffffu);
  const Whole least = Vector8::add16(Vector8::smaller16(root.uppers(), Vector8::all16(1)), zero);
  return Vector8::larger16(rounded.lowers(), least);
}

/// Encodes a block of a state with the inverse of its scale.
template <class Codec>
inline void store_codes(const float* staged, storage::Dither dither, float inverse,
                        typename Codec::Code* codes) {
  Whole bytes[kSpans];
  for (int i = 0; i < kSpans; ++i) {
    bytes[i] = Vector8::lower_bytes(codes_of(Numbers::load(staged + i * kSpan), noise_of(dither, i * kSpan),
                                             Vector8::reals(inverse), Codec{}));
  }
  Vector8::store_bytes(codes, bytes);
}

/// A vector that holds the largest magnitude of a block in one of its lanes.
inline Whole largest_of(const float* staged) {
  Whole largest = all(0);
  for (int i = 0; i < storage::kBlock; i += Vector8::kLanes) {
    const Whole magnitude = Vector8::bit_and(Vector8::load(staged + i), all(storage::kMagnitude));
    largest = i == 0 ? magnitude : Vector8::larger(largest, magnitude);
  }
  return largest;
}

/// Codec::scale() of each lane, in 32 bits.
template <class Codec>
inline Whole scales_of(Whole largest) {
  const Whole rounded_up = Vector8::to_lower(Vector8::add(largest, all(0xffff)));
  const Whole scale =
      Vector8::select_if_greater(all(storage::kInfinity), largest, rounded_up, all(storage::BFloat16::kNaN));
  if constexpr (std::same_as<Codec, Nonnegative8>) return scale;
  return Vector8::zero_unless_greater(largest, all(Signed8::kLeast - 1), scale);
}

/// The inverse scales that staged blocks are encoded with.
struct InverseScales {
  alignas(64) float inverse[kStagedBlocks];  ///< Codec::inverse() of each finite scale.
  unsigned infinite;                         ///< One bit for each block, set where its scale is not finite.
};

/// Stores the scales of `blocks` blocks.
template <class Codec>
inline InverseScales store_scales(const float* staged, int blocks,
                                  storage::Quantized8::Scale::Element* scales) {
  InverseScales result;
  result.infinite = 0;
  for (int first = 0; first < kStagedBlocks; first += Vector8::kLanes) {
    Whole largest[Vector8::kLanes];
    for (int i = 0; i < Vector8::kLanes; ++i) largest[i] = largest_of(staged + (first + i) * storage::kBlock);
    const Whole stored = scales_of<Codec>(Vector8::largest_of_each(largest));
    Vector8::store_lowers(scales + first, stored, blocks - first);
    const Whole scale = Vector8::to_upper(stored);
    const Real inverse = Vector8::divide(Vector8::reals(Codec::kCodes), Vector8::real(scale));
    Vector8::store(result.inverse + first,
                   Vector8::zero_unless_greater(scale, all(0), Vector8::whole(inverse)));
    result.infinite |= Vector8::greater_mask(scale, all(storage::kInfinity - 1)) << first;
  }
  return result;
}

/// Encodes at most kStagedBlocks blocks of staged values. `halves` has kPerBlock halves for each block; the
/// first of them is this state's. A block whose scale is not finite has codes of 0.
template <int kPerBlock, class Codec>
inline void store_state_blocks(const float* staged, int blocks, const std::uint16_t* halves,
                               ScaledState<Codec> state) {
  const InverseScales scales = store_scales<Codec>(staged, blocks, state.scales);
  for (int block = 0; block < blocks; ++block) {
    const int at = block * storage::kBlock;
    const storage::Dither dither{halves[kPerBlock * block]};
    store_codes<Codec>(staged + at, dither, scales.inverse[block], state.codes + at);
  }
  if (__builtin_expect(scales.infinite == 0, 1)) return;
  for (int block = 0; block < blocks; ++block) {
    if ((scales.infinite >> block & 1u) != 0) {
      std::fill_n(state.codes + block * storage::kBlock, storage::kBlock, typename Codec::Code{0});
    }
  }
}

}  // namespace
}  // namespace onepass::cpu

#endif
