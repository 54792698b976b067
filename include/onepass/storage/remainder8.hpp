// remainder8.hpp - codecs for a 16-bit parameter with 8 more bits of its mantissa, 24 bits in all.
#pragma once

#include <cstdint>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"

// These codecs use two streams, which together hold a float32 rounded to a 24-bit format: the 16-bit format
// with 8 more bits of mantissa. As in SplitBFloat16,
//
//     element   = the 24 bits, rounded to their upper 16, half away from zero
//     remainder = the lower 8 bits
//     24 bits   = element * 2^8 + the remainder as a signed number
//
// Steps round stochastically to the 24 bits. With rounding to nearest, steps below 2^-16 of the parameter
// would be lost, and larger ones would be up to twice as large as they should be. A number that was restored
// is stored as the same bits again, so a parameter whose update is 0 does not drift. The element differs from
// x by at most 1/2 + 2^-8 of its last place, because it is rounded twice.
//
// FlashOptim (arXiv 2602.23349) gives the remainder 255 values for the same range, which is half of the last
// place to either side of the element. These codecs use 256 values, a power of two, so the sum is exact and
// has the order of the numbers.
//
// Every NaN becomes the element's canonical NaN with the remainder 0. If you modify a parameter between
// steps, also set its remainder to 0; with the old remainder x is off by up to half of the element's last
// place.
namespace onepass::storage {

/// Codec for bfloat16 with 8 more bits: 8 bits of exponent and 15 of mantissa.
/// |restored - x| < 2^-15 |x|, or 2^-141 for magnitudes below 2^-126, which is 256 times closer than
/// bfloat16. Finite magnitudes beyond 0x1.fffep127 become that number or Inf. From 0x1.feffp127 on the
/// element alone is Inf.
struct BFloat16Remainder8 {
  using Element = std::uint16_t;
  using Remainder = std::uint8_t;
  static constexpr DType kDType = DType::bfloat16;

  /// Returns the number that element and remainder stand for, exactly.
  static ONEPASS_LANE float decode(Element element, Remainder remainder) {
    const Bits rounded = Bits{element} << 16;
    const Bits bits = rounded + static_cast<Bits>(std::int32_t{static_cast<std::int8_t>(remainder)} * 256);
    const auto turned = static_cast<std::int32_t>(bits ^ rounded);
    return float_of(select(turned < 0, rounded, bits));
  }

  /// Rounds x stochastically to one of its two neighbours in the 24-bit format, with the upper 8 of the lower
  /// 16 bits of `random`, and splits it. If x is n / 256 of the way to the neighbour away from zero, n of the
  /// 256 values round to that neighbour, so the mean of the result is x.
  static ONEPASS_LANE void encode_stochastic(float x, Element& element, Remainder& remainder,
                                             std::uint32_t random) {
    const Bits bits = bits_of(x);
    const Bits rounded = (bits + (random >> 8 & 0xffu)) >> 8;
    const Bits whole = select(below(kInfinity, bits & kMagnitude), Bits{BFloat16::kNaN} << 8, rounded);
    element = static_cast<Element>((whole + 0x80u) >> 8);
    remainder = static_cast<Remainder>(whole & 0xffu);
  }
};

/// Codec for float16 with 8 more bits: 5 bits of exponent and 18 of mantissa.
/// |restored - x| < 2^-18 |x|, or 2^-32 for magnitudes below 2^-14, which is 256 times closer than float16.
/// Magnitudes from 65535.9375 on become Inf. From 65519.9375 on the element alone is Inf.
struct Float16Remainder8 {
  using Element = std::uint16_t;
  using Remainder = std::uint8_t;
  static constexpr DType kDType = DType::float16;

  /// Returns the number that element and remainder stand for, exactly.
  static ONEPASS_LANE float decode(Element element, Remainder remainder) {
    const std::int32_t magnitude =
        (element & 0x7fff) * 256 + std::int32_t{static_cast<std::int8_t>(remainder)};
    const auto stored = static_cast<Bits>(magnitude < 0 ? 0 : magnitude);
    return float_of(Binary16<8>::widen(stored) | (Bits{element} & 0x8000u) << 16);
  }

  /// Rounds x stochastically to one of its two neighbours in the 24-bit format, with the lower 16 bits of
  /// `random`, and splits it. The mean of the result is x, or off by at most 2^-41 for |x| < 2^-17.
  static ONEPASS_LANE void encode_stochastic(float x, Element& element, Remainder& remainder,
                                             std::uint32_t random) {
    const Bits bits = bits_of(x);
    const Bits magnitude = bits & kMagnitude;
    const Bits rounded = Binary16<8>::round_stochastic(magnitude, random & 0xffffu) | (bits & kSign);
    // Selects by a mask, because GCC 12 turns a select whose result is used twice into a tree of branches.
    const Bits nan = 0u - static_cast<Bits>(below(kInfinity, magnitude));
    const Bits whole = (nan & Bits{Float16::kNaN} << 8) | (~nan & rounded);
    element = static_cast<Element>(((whole & kMagnitude) + 0x80u) >> 8 | (whole & kSign) >> 16);
    remainder = static_cast<Remainder>(whole & 0xffu);
  }
};

}  // namespace onepass::storage
