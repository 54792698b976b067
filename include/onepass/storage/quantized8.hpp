// quantized8.hpp - states in 8 bits an element, in groups that share a 16-bit scale.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/dither.hpp"

/// A group of kBlock elements, counted from the tensor's first, has one scale: 8.5 bits an element. Codes are
/// companded, so that small values keep more of their relative precision than evenly spaced codes leave them.
/// As in FlashOptim (arXiv 2602.23349), but with scales of bfloat16, which has float32's range (float16 loses
/// what is below 6e-8, the moments of gradients of 1e-7), with another curve for numbers with a sign, which
/// needs no division either way, and dithered.
///
/// Codes are rounded by a dither, up as often as the number is on the way to the next code. To the nearest, a
/// second moment could not decay: at beta2 = 0.999 a step takes 0.05% from its root, less than half a code,
/// and the scale, rounded up, hides that too; it would stay at the largest that it ever was. What is a code
/// already stays.
///
/// To store a group:
///     staged[i] = C::stage(x[i])                                 may be kept instead of x[i]
///     scale     = C::scale(the largest magnitude_of(staged[i]))
///     code[i]   = C::encode(staged[i], BFloat16::decode(scale), dither.at<kNoiseBits>(i))
/// A group cut short by the tensor's end is one of fewer elements. A group of zeros has the scale 0 and the
/// codes 0, and decodes to +0: what was filled with zero bytes is a state of zeros.
///
/// NaN or Inf in a group, or what is beyond the largest bfloat16 (3.39e38): its scale is not finite, all its
/// codes are 0, and all its elements decode to NaN. A finite scale cannot hold Inf, and to lose it in silence
/// would be worse than to spread it to its neighbours.
namespace onepass::storage {

/// Bits of noise that a code is rounded with.
inline constexpr int kNoiseBits = 12;

/// The smallest bfloat16 not below a magnitude, so that no element exceeds its scale.
ONEPASS_LANE std::uint16_t group_scale(Bits magnitude) {
  return static_cast<std::uint16_t>(
      select(below(magnitude, kInfinity), (magnitude + 0xffffu) >> 16, BFloat16::kNaN));
}

/// All ones for the scale of a finite group, else 0: codes made of NaN would differ between machines.
ONEPASS_LANE std::int32_t group_mask(float scale) {
  return -static_cast<std::int32_t>(below(magnitude_of(scale), kInfinity));
}

/// A codec of states with a sign, such as averages of gradients. Its curve is the logarithm that a float's
/// bits are: straight within a factor of two, where 32 codes lie.
///     y = 1 + 14.75 |x| / scale,  from 1 to 15.75
///     code = (bits of y - bits of 1) / 2^18, dithered, with the sign of x
/// So codes are -127 to 127; and as the curve is straight between two codes, the mean of what is restored is
/// x itself.
///
/// Error, with 2^k <= y < 2^(k+1): |restored - x| < scale * 2^k / 472, and 2^-22 of the scale for rounding.
/// That is 1.7% of the largest magnitude next to it, an eighth of that near 0. Relative to x itself: 1.7% at
/// the scale, 4.3% at 1/10 of it, 22% at 1/100. FlashOptim's 2a / (1 + a), dithered: 1.6%, 4.8%, 40%.
struct Signed8 {
  using Code = std::int8_t;

  static ONEPASS_LANE float stage(float x) { return x; }

  /// What is below 2^-120 in a whole group is 0: the inverse of its scale is no float.
  static ONEPASS_LANE std::uint16_t scale(Bits largest) {
    return static_cast<std::uint16_t>(select(below(largest, kLeast), 0, group_scale(largest)));
  }

  static ONEPASS_LANE float inverse(float scale) { return scale > 0.0f ? kCodes / scale : 0.0f; }

  /// Of |x| <= scale, the group's, as a float.
  static ONEPASS_LANE Code encode(float x, float scale, Bits noise) {
    const Bits curve = bits_of(lane::fma(lane::abs(x), inverse(scale), 1.0f)) - kOne;
    const auto code = static_cast<std::int32_t>((curve + (noise << kFine) + (1u << (kFine - 1))) >> kShift);
    const std::int32_t sign = static_cast<std::int32_t>(bits_of(x)) >> 31;
    return static_cast<Code>(((code ^ sign) - sign) & group_mask(scale));
  }

  static ONEPASS_LANE float decode(Code code, float scale) {
    const auto whole = std::int32_t{code};
    const std::int32_t sign = whole >> 31;
    const auto magnitude = static_cast<Bits>((whole ^ sign) - sign);
    // (y - 1) * step, rounded once all the same: y - 1 is exact.
    const float step = scale * kStep;
    const float x = lane::fma(float_of((magnitude << kShift) + kOne), step, -step);
    return float_of(bits_of(x) | (static_cast<Bits>(sign) & kSign));
  }

  static constexpr int kShift = kMantissaBits - 5;
  /// The noise's steps are larger than what rounding takes from a number that is a code.
  static constexpr int kFine = kShift - kNoiseBits;
  /// The curve's length: what a scale is divided into.
  static constexpr float kCodes = 14.75f, kStep = 1.0f / kCodes;
  static constexpr Bits kOne = 0x3f800000u;
  static constexpr Bits kLeast = Bits{127 - 120} << kMantissaBits;
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

  static ONEPASS_LANE std::uint16_t scale(Bits largest) { return group_scale(largest); }

  static ONEPASS_LANE float inverse(float scale) { return scale > 0.0f ? kCodes / scale : 0.0f; }

  /// Of a root, at most the scale, the group's, as a float.
  static ONEPASS_LANE Code encode(float root, float scale, Bits noise) {
    const Bits fixed = bits_of(lane::fma(root, inverse(scale), kFixed)) - bits_of(kFixed);
    const std::int32_t rounded = static_cast<std::int32_t>(fixed + noise) >> kNoiseBits;
    const std::int32_t least = pattern(root) < 1 ? pattern(root) : 1;
    const std::int32_t code = rounded > least ? rounded : least;
    return static_cast<Code>(code & group_mask(scale));
  }

  static ONEPASS_LANE float decode(Code code, float scale) {
    // code * step, rounded once: a sum that stands for the conversion, which is slow on a GPU.
    const float step = scale * kStep;
    const float root = lane::fma(float_of(kWhole + code), step, -kWholes * step);
    return root * root;
  }

  static constexpr float kCodes = 255.0f;
  /// 1 / 255 rounded down: the scale may be 2^64, and its square is no float. 255 * kStep = 1 - 2^-24.
  static constexpr float kStep = 0x1.0101p-8f;
  /// What the last place of a sum with it is worth is 2^-kNoiseBits.
  static constexpr float kFixed = 1 << (kMantissaBits - kNoiseBits);
  /// 2^23 and its pattern: added to a code's bits they are the number 2^23 + code.
  static constexpr float kWholes = 0x1p23f;
  static constexpr Bits kWhole = 0x4b000000u;

 private:
  /// Negative for -0, so that it counts as 0.
  static ONEPASS_LANE std::int32_t pattern(float x) { return __builtin_bit_cast(std::int32_t, x); }
};

}  // namespace onepass::storage
