// quantized8.hpp - the codec of states with 8 bits per element and a 16-bit scale per block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/dither.hpp"
#include "onepass/tensor.hpp"

// Each block of kBlock elements, counted from the first of the logical tensor, has one scale, so an element
// takes 8.5 bits; a shard that has a part of a block has a scale for the part. Codes are companded: small
// values keep more relative precision than evenly spaced codes would give them. This follows FlashOptim
// (arXiv 2602.23349) with three differences. The scales are bfloat16, which has float32's range (float16
// loses everything below 6e-8, and so the moments of gradients of 1e-7). The curve for numbers with a sign is
// another one, which needs no division in either direction. The codes are dithered.
//
// Dithering rounds a number up as often as it is on the way to the next code. With rounding to nearest a
// second moment could not decay: at beta2 = 0.999 a step takes 0.05% from its root, which is less than half a
// code, and the scale, which is rounded up, does not fall either. The moment would stay at its largest value.
// A number that is exactly a code does not change.
//
// To store a block x with the curve C, which is Signed8 or Nonnegative8:
//
//     staged[i] = C::stage(x[i])                                 can be kept in place of x[i]
//     scale     = C::scale(the largest magnitude_of(staged[i]))
//     code[i]   = C::encode(staged[i], BFloat16::decode(scale), dither.at<kNoiseBits>(i))
//
// Quantized8, at the end of this file, does this for a block, and owns its bytes: layouts, loops and kernels
// take the types of codes and scales from it.
//
// The last block of a tensor may have fewer elements. A block of zeros has the scale 0 and the codes 0 and
// decodes to +0, so memory filled with zero bytes is a state of zeros.
//
// If a block contains NaN, Inf or a magnitude beyond the largest bfloat16 (3.39e38), its scale is not finite,
// all its codes are 0, and all its elements decode to NaN. A finite scale cannot represent Inf, and losing it
// silently would be worse than spreading it to its neighbours.
namespace onepass::storage {

/// Number of noise bits with which a code is rounded.
inline constexpr int kNoiseBits = 12;

/// Returns the smallest bfloat16 that is not below a magnitude, so that no element exceeds its block's scale.
/// Returns NaN for Inf and NaN.
ONEPASS_LANE std::uint16_t block_scale(Bits magnitude) {
  return static_cast<std::uint16_t>(
      select(below(magnitude, kInfinity), (magnitude + 0xffffu) >> 16, BFloat16::kNaN));
}

/// Returns a mask of all ones if the scale is finite, else 0. The mask clears the codes of a block that is
/// not finite, because codes computed from NaN would differ between machines.
ONEPASS_LANE std::int32_t block_mask(float scale) {
  return -static_cast<std::int32_t>(below(magnitude_of(scale), kInfinity));
}

/// Codec for states with a sign, such as averages of gradients. Its curve is the piecewise linear logarithm
/// that the bits of a float are: linear within each factor of two, which has 32 codes.
///
///     y    = 1 + 14.75 |x| / scale,  from 1 to 15.75
///     code = (bits of y - bits of 1) / 2^18, dithered, with the sign of x
///
/// Codes are -127 to 127. The curve is linear between two codes, so the mean of the restored numbers is x.
///
/// Error, with 2^k <= y < 2^(k+1): |restored - x| < scale * 2^k / 472, plus 2^-22 of the scale for rounding.
/// That is 1.7% of the block's largest magnitude for numbers next to it, and an eighth of that for numbers
/// near 0. Relative to x itself the error is 1.7% at the scale, 4.3% at 1/10 of it and 22% at 1/100.
/// FlashOptim's curve 2a / (1 + a), dithered, gives 1.6%, 4.8% and 40%.
struct Signed8 {
  using Code = std::int8_t;

  /// Returns x: this codec stages numbers unchanged.
  static ONEPASS_LANE float stage(float x) { return x; }

  /// Returns the scale of a block, as bfloat16 bits, given its largest magnitude. It is 0 if that is below
  /// 2^-120, because the inverse of such a scale would overflow; the block is then stored as zeros.
  static ONEPASS_LANE std::uint16_t scale(Bits largest) {
    return static_cast<std::uint16_t>(select(below(largest, kLeast), 0, block_scale(largest)));
  }

  /// Returns the factor from x to the curve, or 0 if the scale is 0.
  static ONEPASS_LANE float inverse(float scale) { return scale > 0.0f ? kCodes / scale : 0.0f; }

  /// Returns the code of x, given its block's decoded scale (|x| <= scale) and kNoiseBits random bits.
  static ONEPASS_LANE Code encode(float x, float scale, Bits noise) {
    const Bits curve = bits_of(lane::fma(lane::abs(x), inverse(scale), 1.0f)) - kOne;
    const auto code = static_cast<std::int32_t>((curve + (noise << kFine) + (1u << (kFine - 1))) >> kShift);
    const std::int32_t sign = static_cast<std::int32_t>(bits_of(x)) >> 31;
    return static_cast<Code>(((code ^ sign) - sign) & block_mask(scale));
  }

  /// Returns the number that a code stands for.
  static ONEPASS_LANE float decode(Code code, float scale) {
    const auto whole = std::int32_t{code};
    const std::int32_t sign = whole >> 31;
    const auto magnitude = static_cast<Bits>((whole ^ sign) - sign);
    // This is (y - 1) * step, rounded once, because y - 1 is exact.
    const float step = scale * kStep;
    const float x = lane::fma(float_of((magnitude << kShift) + kOne), step, -step);
    return float_of(bits_of(x) | (static_cast<Bits>(sign) & kSign));
  }

  /// Bits of y's mantissa below a code.
  static constexpr int kShift = kMantissaBits - 5;
  /// Place of the noise's last bit. A step of the noise is larger than the rounding error of y, so a number
  /// that is exactly a code keeps its code.
  static constexpr int kFine = kShift - kNoiseBits;
  /// Length of the curve, y - 1 at the scale.
  static constexpr float kCodes = 14.75f, kStep = 1.0f / kCodes;
  static constexpr Bits kOne = 0x3f800000u;
  static constexpr Bits kLeast = Bits{127 - 120} << kMantissaBits;
};

/// Codec for states that are never negative, such as averages of squares. A negative x gives NaN, as the
/// square root in the rules does.
///
///     y    = sqrt(x) / scale
///     code = 255 y, dithered, but at least 1 if x > 0
///     x    = (scale * y)^2
///
/// The scale is that of the roots. The rules compute the roots anyway, roots span half the exponents, and so
/// neither 1 / scale nor any other number here overflows.
///
/// A small second moment must not become 0 while the first moment is not, because the update would then be
/// lr * m / eps. Every x > 0 therefore has a code of at least 1. A very small x is restored too large, which
/// makes the update too small.
///
/// Error: y is off by at most h = 1/255, so
///
///     |restored - x| <= scale^2 * h (2 y + h)
///
/// plus 2^-21 of x for rounding. That is below 0.8% of the block's largest element for numbers next to it.
/// Relative to x itself the error is 0.8% at y = 1, 8% at y = 1/10 (x = 1/100 of the largest element), and
/// 18% at x = 1/500 of it.
struct Nonnegative8 {
  using Code = std::uint8_t;

  /// Returns the square root of x, the number that is staged.
  static ONEPASS_LANE float stage(float x) { return lane::sqrt(x); }

  /// Returns the scale of a block, as bfloat16 bits, given the magnitude of its largest root.
  static ONEPASS_LANE std::uint16_t scale(Bits largest) { return block_scale(largest); }

  /// Returns the factor from a root to its code, or 0 if the scale is 0.
  static ONEPASS_LANE float inverse(float scale) { return scale > 0.0f ? kCodes / scale : 0.0f; }

  /// Returns the code of a root, given its block's decoded scale (root <= scale) and kNoiseBits random bits.
  static ONEPASS_LANE Code encode(float root, float scale, Bits noise) {
    const Bits fixed = bits_of(lane::fma(root, inverse(scale), kFixed)) - bits_of(kFixed);
    const std::int32_t rounded = static_cast<std::int32_t>(fixed + noise) >> kNoiseBits;
    const std::int32_t least = pattern(root) < 1 ? pattern(root) : 1;
    const std::int32_t code = rounded > least ? rounded : least;
    return static_cast<Code>(code & block_mask(scale));
  }

  /// Returns the number (not the root) that a code stands for.
  static ONEPASS_LANE float decode(Code code, float scale) {
    // This is code * step, rounded once. The addition of 2^23 replaces the conversion to float, which is slow
    // on a GPU.
    const float step = scale * kStep;
    const float root = lane::fma(float_of(kWhole + code), step, -kWholes * step);
    return root * root;
  }

  static constexpr float kCodes = 255.0f;
  /// 1 / 255, rounded down: the scale can be 2^64, whose square would overflow. 255 * kStep = 1 - 2^-24.
  static constexpr float kStep = 0x1.0101p-8f;
  /// The last place of a sum of this number and a code is worth 2^-kNoiseBits.
  static constexpr float kFixed = 1 << (kMantissaBits - kNoiseBits);
  /// 2^23 and its bits. Their sum with a code is the bits of the number 2^23 + code.
  static constexpr float kWholes = 0x1p23f;
  static constexpr Bits kWhole = 0x4b000000u;

 private:
  /// Returns the bits as a signed integer. They are negative for -0, which therefore gets the code 0.
  static ONEPASS_LANE std::int32_t pattern(float x) { return __builtin_bit_cast(std::int32_t, x); }
};

/// The codec of a block of a state. It owns the block's bytes: the codes of a state lie in one stream, and
/// its scales in another.
struct Quantized8 {
  static constexpr DType kDType = DType::uint8;  ///< Type of a code, which may have a sign.
  using Scale = BFloat16;                        ///< Codec of a scale.
  static constexpr std::size_t kBytesOfBlock = kBlock * size_of(kDType) + size_of(Scale::kDType);

  /// The curve of a state.
  template <bool kNonnegative>
  using CurveOf = std::conditional_t<kNonnegative, Nonnegative8, Signed8>;

  /// Calls work(curve) with the curve of a state.
  template <class Work>
  static ONEPASS_LANE void with_curve(bool is_nonnegative, const Work& work) {
    if (is_nonnegative) {
      work(CurveOf<true>{});
    } else {
      work(CurveOf<false>{});
    }
  }

  /// Decodes `count` elements of one block.
  template <class Curve>
  static ONEPASS_LANE void decode(const typename Curve::Code* codes, Scale::Element stored, int count,
                                  float* __restrict to) {
    const float scale = Scale::decode(stored);
    for (int i = 0; i < count; ++i) to[i] = Curve::decode(codes[i], scale);
  }

  /// Encodes `count` elements of one block, which are all that have its scale, and returns the scale.
  /// `staged`: the values of Curve::stage(). noise(i): kNoiseBits random bits for element i.
  template <class Curve, class Noise>
  static ONEPASS_LANE Scale::Element encode(const float* __restrict staged, int count, const Noise& noise,
                                            typename Curve::Code* codes) {
    std::int32_t largest = 0;  // signed and compared by `<`: gcc does not vectorise other forms of a maximum
    for (int i = 0; i < count; ++i) {
      const auto magnitude = static_cast<std::int32_t>(magnitude_of(staged[i]));
      largest = largest < magnitude ? magnitude : largest;
    }
    const Scale::Element stored = Curve::scale(static_cast<Bits>(largest));
    const float scale = Scale::decode(stored);
    for (int i = 0; i < count; ++i) codes[i] = Curve::encode(staged[i], scale, noise(i));
    return stored;
  }
};

}  // namespace onepass::storage
