// quantized8.hpp - states in 8 bits an element, in groups that share a 16-bit scale.
#pragma once

#include <cstdint>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/bits.hpp"

/// A group of kGroup elements, counted from the tensor's first, has one scale: 8.5 bits an element. Codes are
/// companded, so that small values keep more of their relative precision than evenly spaced codes leave them.
/// The formulas are FlashOptim's (arXiv 2602.23349), whose scales are float16; these are bfloat16, which has
/// float32's range: float16 loses what is below 6e-8, the moments of gradients of 1e-7.
///
/// Codes are rounded by a dither, up as often as the number is on the way to the next code. To the nearest, a
/// second moment could not decay: at beta2 = 0.999 a step takes 0.05% from its root, less than half a code,
/// and the scale, rounded up, hides that too; it would stay at the largest that it ever was. So the code, and
/// not the number, is what is kept in the mean, and what is a code already stays.
///
/// To store a group:
///     staged[i] = C::stage(x[i])                                 may be kept instead of x[i]
///     scale     = group_scale(the largest magnitude_of(staged[i]))
///     code[i]   = C::encode(staged[i], BFloat16::decode(scale), dither.at(i))
/// A group cut short by the tensor's end is one of fewer elements. A group of zeros has the scale 0 and the
/// codes 0, and decodes to +0: what was filled with zero bytes is a state of zeros.
///
/// NaN or Inf in a group, or what is beyond the largest bfloat16 (3.39e38): its scale is not finite, all its
/// codes are 0, and all its elements decode to NaN. A finite scale cannot hold Inf, and to lose it in silence
/// would be worse than to spread it to its neighbours.
namespace onepass::storage {

inline constexpr int kGroup = 32;

/// The smallest bfloat16 not below a magnitude, so that no element exceeds its scale.
ONEPASS_LANE std::uint16_t group_scale(Bits magnitude) {
  return static_cast<std::uint16_t>(
      select(below(magnitude, kInfinity), (magnitude + 0xffffu) >> 16, BFloat16::kNaN));
}

/// What a group's elements are rounded with: for each one 12 uniform bits, for all together an even lattice,
/// turned at random.
struct Dither {
  static constexpr int kBits = 12;
  std::uint32_t random;  ///< 32 uniform bits, other ones for each group, state and step.

  [[nodiscard]] ONEPASS_LANE Bits at(int element) const {
    return (random + static_cast<std::uint32_t>(element) * 0x9E3779B9u) >> (32 - kBits);
  }
};

/// The code of a number in fixed point, whose lowest bits are Dither::kBits of fraction.
ONEPASS_LANE std::int32_t dithered(Bits fixed, Bits noise) {
  return static_cast<std::int32_t>(fixed + noise) >> Dither::kBits;
}

/// All ones for the scale of a finite group, else 0: codes made of NaN would differ between machines.
ONEPASS_LANE std::int32_t group_mask(float scale) {
  return -static_cast<std::int32_t>(below(magnitude_of(scale), kInfinity));
}

/// A codec of states with a sign, such as averages of gradients.
///     y = 2 a / (1 + a) with a = |x| / scale,  code = 127 y with the sign of x, dithered
///     x = scale * y / (2 - y)
/// Error. The code is off by less than 1, so y by h = 1/127; and as y / (2 - y) has the difference quotient
/// 2 / ((2 - y) (2 - y')), and 2 - y = 2 / (1 + a), x is off by
///     |restored - x| <= scale * h (1 + a)^2 / (2 - h (1 + a))
/// and 2^-22 of the scale for rounding: below 1.6% of the largest magnitude next to it, a quarter of that
/// near 0. Relative to x itself: 1.6% at a = 1, 4.8% at 1/10, 40% at 1/100. Codes are -127 to 127.
struct Signed8 {
  using Code = std::int8_t;

  static ONEPASS_LANE float stage(float x) { return x; }

  /// Of |x| <= scale, the group's, as a float.
  static ONEPASS_LANE Code encode(float x, float scale, Bits noise) {
    // With half sums: 1 + a, in units of the scale, cannot overflow, and one division does for both.
    const float half = scale > 0.0f ? 0.5f * scale : 1.0f;
    const float companded = x / lane::fma(0.5f, lane::abs(x), half);
    // The sum rounds, and its last bits are the code in two's complement.
    const Bits fixed = bits_of(lane::fma(companded, 127.0f * (1 << Dither::kBits), 0x1.8p23f));
    return static_cast<Code>(dithered(fixed, noise) & group_mask(scale));
  }

  static ONEPASS_LANE float decode(Code code, float scale) {
    const auto y = static_cast<float>(std::int32_t{code});
    return y / (254.0f - lane::abs(y)) * scale;
  }
};

/// A codec of states that are never below 0, such as averages of squares. NaN below 0, as the rules' own
/// root.
///     y = sqrt(x) / scale,  code = 255 y, dithered, but 1 at least where x > 0
///     x = (scale * y)^2
/// The scale is that of the roots: rules have them at hand, they have half of the exponents, and neither 1 /
/// scale nor anything else here overflows.
///
/// A small second moment must not vanish where the first one stays: the step would be m / eps. So the
/// smallest code is 1 for all that is above 0: restored too large by a share, and the step too small by it.
///
/// Error. y is off by h = 1/255 at most. So with y = sqrt(x) / scale
///     |restored - x| <= scale^2 * h (2 y + h)
/// and 2^-21 of x for rounding: below 0.8% of the largest element next to it. Relative to x itself: 0.8% at
/// y = 1, 8% at y = 1/10, which is x = 1/100 of the largest, 18% at x = 1/500.
struct Nonnegative8 {
  using Code = std::uint8_t;

  static ONEPASS_LANE float stage(float x) { return lane::sqrt(x); }

  /// Of a root, at most the scale, the group's, as a float.
  static ONEPASS_LANE Code encode(float root, float scale, Bits noise) {
    const float inverse = scale > 0.0f ? 255.0f / scale : 0.0f;
    // 2^(23 - 12): the last place of the sum is worth 2^-12.
    constexpr float kFixed = 0x1p11f;
    const Bits fixed = bits_of(lane::fma(root, inverse, kFixed)) - bits_of(kFixed);
    const std::int32_t rounded = dithered(fixed, noise);
    const std::int32_t least = pattern(root) < 1 ? pattern(root) : 1;
    const std::int32_t code = rounded > least ? rounded : least;
    return static_cast<Code>(code & group_mask(scale));
  }

  static ONEPASS_LANE float decode(Code code, float scale) {
    const float root = static_cast<float>(std::int32_t{code}) * (scale * kStep);
    return root * root;
  }

 private:
  /// 1 / 255 rounded down: the scale may be 2^64, and its square is no float. 255 * kStep = 1 - 2^-24.
  static constexpr float kStep = 0x1.0101p-8f;

  /// Negative for -0, so that it counts as 0.
  static ONEPASS_LANE std::int32_t pattern(float x) { return __builtin_bit_cast(std::int32_t, x); }
};

}  // namespace onepass::storage
