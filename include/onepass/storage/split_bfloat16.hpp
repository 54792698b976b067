// split_bfloat16.hpp - a float32 in two halves: a bfloat16 parameter, and the 16 bits that it lacks.
#pragma once

#include <cstdint>

#include "onepass/storage/bfloat16.hpp"

namespace onepass::storage {

/// A codec over two streams that restores every finite float32, and Inf, exactly:
///     element   = bits of x, rounded to their upper half, half away from zero
///     remainder = the lower half
///     bits of x = element * 2^16 + the remainder as a signed number
/// Half away from zero, not half to even: the sign of the remainder then says which way the element was
/// rounded, and no 17th bit is needed. So an element may differ by one from the bfloat16 that rounding to
/// even makes of x, in ties alone. From 0x1.ffp127 on the element is Inf, as when rounded to nearest; the two
/// together still hold x.
///
/// Every NaN becomes the element 0x7fc0 with the remainder 0.
///
/// Who changes a parameter between two steps sets its remainder to 0. If the old one stays, x is off by half
/// of the element's last place at most; a zero with an old remainder is a zero, or at most 2^-134.
struct SplitBFloat16 {
  using Element = std::uint16_t;
  using Remainder = std::uint16_t;
  static constexpr DType kDType = DType::bfloat16;

  static ONEPASS_LANE float decode(Element element, Remainder remainder) {
    const Bits rounded = Bits{element} << 16;
    const Bits bits = rounded + static_cast<Bits>(std::int32_t{static_cast<std::int16_t>(remainder)});
    // Below zero there is no magnitude: the borrow has turned the sign.
    const auto turned = static_cast<std::int32_t>(bits ^ rounded);
    return float_of(select(turned < 0, rounded, bits));
  }

  static ONEPASS_LANE void encode(float x, Element& element, Remainder& remainder) {
    const Bits bits = bits_of(x);
    const Bits whole = select(below(kInfinity, bits & kMagnitude), Bits{BFloat16::kNaN} << 16, bits);
    element = static_cast<Element>((whole + 0x8000u) >> 16);
    remainder = static_cast<Remainder>(whole & 0xffffu);
  }
};

}  // namespace onepass::storage
