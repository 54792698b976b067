// split_bfloat16.hpp - codec for a float32 split into a bfloat16 parameter and the other 16 bits.
#pragma once

#include <cstdint>

#include "onepass/storage/bfloat16.hpp"

namespace onepass::storage {

/// Codec over two streams that restores every finite float32, and Inf, exactly:
///
///     element   = bits of x, rounded to their upper 16, half away from zero
///     remainder = the lower 16 bits
///     bits of x = element * 2^16 + the remainder as a signed number
///
/// Ties round away from zero instead of to even, so the sign of the remainder tells the direction in which
/// the element was rounded, and no 17th bit is needed. In ties the element may therefore differ by one in the
/// last place from x rounded to bfloat16 with ties to even. From 0x1.ffp127 on the element is Inf, as with
/// rounding to nearest; element and remainder together still hold x.
///
/// Every NaN becomes the element 0x7fc0 with the remainder 0.
///
/// If you modify a parameter between steps, also set its remainder to 0. With the old remainder x is off by
/// up to half of the element's last place; a zero with an old remainder is restored as 0 or as at most
/// 2^-134.
struct SplitBFloat16 {
  using Element = std::uint16_t;
  using Remainder = std::uint16_t;
  static constexpr DType kDType = DType::bfloat16;

  /// Returns the number that element and remainder stand for, exactly.
  static ONEPASS_LANE float decode(Element element, Remainder remainder) {
    const Bits rounded = Bits{element} << 16;
    const Bits bits = rounded + static_cast<Bits>(std::int32_t{static_cast<std::int16_t>(remainder)});
    // If the difference of the magnitudes is negative, the borrow has changed the sign bit.
    const auto turned = static_cast<std::int32_t>(bits ^ rounded);
    return float_of(select(turned < 0, rounded, bits));
  }

  /// Splits x into element and remainder.
  static ONEPASS_LANE void encode(float x, Element& element, Remainder& remainder) {
    const Bits bits = bits_of(x);
    const Bits whole = select(below(kInfinity, bits & kMagnitude), Bits{BFloat16::kNaN} << 16, bits);
    element = static_cast<Element>((whole + 0x8000u) >> 16);
    remainder = static_cast<Remainder>(whole & 0xffffu);
  }
};

}  // namespace onepass::storage
