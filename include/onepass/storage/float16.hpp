// float16.hpp - codec for float16, which is IEEE binary16.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// Magnitudes with binary16's 5 bits of exponent and kExtra more bits of mantissa than its 10. Magnitudes
/// below kSmallestNormal are denormals, spaced by 2^(-24 - kExtra).
template <int kExtra>
struct Binary16 {
  static constexpr int kDropped = kMantissaBits - 10 - kExtra;  ///< Mantissa bits fewer than a float32 has.
  static constexpr Bits kSmallestNormal = 0x400u << kExtra;     ///< 2^-14.
  static constexpr Bits kInf = 0x7c00u << kExtra;
  /// Difference between the exponent biases of float32 and binary16, 127 - 15, in the place of the exponent.
  static constexpr Bits kRebias = Bits{127 - 15} << kMantissaBits;
  static constexpr Bits kSmallestNormalFloat = kRebias + (Bits{1} << kMantissaBits);

  /// Rounds the magnitude of a float32, which must not be NaN, to nearest, ties to even. Too large magnitudes
  /// become kInf.
  static ONEPASS_LANE Bits round(Bits magnitude) {
    // The floating-point sum rounds correctly, because its last place is worth 2^(-24 - kExtra).
    constexpr Bits kSpacing = Bits{127 - 1 - kExtra} << kMantissaBits;
    const Bits denormal = bits_of(float_of(magnitude) + float_of(kSpacing)) - kSpacing;
    const Bits normal = round_to_even<kDropped>(magnitude - kRebias);
    return finish(magnitude, normal, denormal);
  }

  /// Rounds the magnitude of a float32, which must not be NaN, to one of its two neighbours: to the upper one
  /// for as many of the 65,536 values of `noise` as it is on the way there. Magnitudes beyond the largest
  /// finite one round to nearest.
  static ONEPASS_LANE Bits round_stochastic(Bits magnitude, Bits noise) {
    constexpr Bits kLargest = kRebias + ((kInf - 1) << kDropped), kHalf = Bits{1} << (kDropped - 1);
    const Bits last = select(below(magnitude, kLargest), noise >> (16 - kDropped), kHalf);
    const Bits normal = (magnitude - kRebias + last) >> kDropped;
    const Bits denormal = (fixed(magnitude) + (noise >> kExtra)) >> (16 - kExtra);
    return finish(magnitude, normal, denormal);
  }

  /// Selects the normal or the denormal result, and kInf if the normal one is too large.
  static ONEPASS_LANE Bits finish(Bits magnitude, Bits normal, Bits denormal) {
    const Bits limited = select(below(normal, kInf), normal, kInf);
    return select(below(magnitude, kSmallestNormalFloat), denormal, limited);
  }

  /// Returns the bits of the same magnitude as a float32, exactly. NaN stays NaN.
  static ONEPASS_LANE Bits widen(Bits stored) {
    const Bits shifted = stored << kDropped;
    // A denormal m * 2^-24 is (1 + m / 1024) * 2^-14 minus 2^-14.
    const Bits denormal = bits_of(float_of(shifted + kSmallestNormalFloat) - float_of(kSmallestNormalFloat));
    const Bits normal = shifted + select(below(stored, kInf), kRebias, 2 * kRebias);
    return select(below(stored, kSmallestNormal), denormal, normal);
  }

 private:
  /// Returns a magnitude below 2^-14 in units of 2^-40, rounded to nearest.
  static ONEPASS_LANE Bits fixed(Bits magnitude) {
    // From 2^-17 on a float32 is a multiple of 2^-40. Below that the sum rounds it to one.
    constexpr Bits kExact = Bits{127 - 17} << kMantissaBits;
    const Bits small = bits_of(float_of(magnitude) + float_of(kExact)) - kExact;
    const Bits limited = select(below(magnitude, kSmallestNormalFloat), magnitude, kSmallestNormalFloat);
    const auto exact = static_cast<Bits>(static_cast<std::int32_t>(float_of(limited) * 0x1p40f));
    return select(below(magnitude, kExact), small, exact);
  }
};

/// Codec for IEEE binary16: 5 bits of exponent and 10 of mantissa, in 2 bytes. Keeps denormals in both
/// directions.
struct Float16 {
  using Element = std::uint16_t;
  static constexpr DType kDType = DType::float16;
  static constexpr Element kNaN = 0x7e00;
  static constexpr float kLargest = 65504.0f;  ///< Largest finite number.

  /// Returns the number as a float32, exactly.
  static ONEPASS_LANE float decode(Element stored) {
    return float_of(Binary16<0>::widen(stored & 0x7fffu) | (Bits{stored} & 0x8000u) << 16);
  }

  /// Rounds to nearest, ties to even. The error is at most 2^-11 of the value, or 2^-25 for magnitudes below
  /// 2^-14. Magnitudes from 65520 on become Inf, and every NaN becomes kNaN.
  static ONEPASS_LANE Element encode(float x) {
    const Bits bits = bits_of(x);
    return finish(bits, Binary16<0>::round(bits & kMagnitude));
  }

  /// Rounds stochastically to one of the two neighbours, with the lower 16 bits of `random`, as
  /// BFloat16::encode_stochastic() does. For |x| >= 2^-17 the mean of the result is exactly x. A smaller
  /// float32 has more than 16 bits below the last place of a denormal: it is first rounded to a multiple of
  /// 2^-40, and the mean is off by at most 2^-41. A number that float16 can represent does not change.
  ///
  /// Finite magnitudes beyond kLargest round to nearest: to kLargest below 65520, and to Inf from there on.
  /// Inf stays Inf, and every NaN becomes kNaN.
  static ONEPASS_LANE Element encode_stochastic(float x, std::uint32_t random) {
    const Bits bits = bits_of(x);
    return finish(bits, Binary16<0>::round_stochastic(bits & kMagnitude, random & 0xffffu));
  }

 private:
  static ONEPASS_LANE Element finish(Bits original, Bits magnitude) {
    const Bits rounded = magnitude | (original >> 16 & 0x8000u);
    return static_cast<Element>(select(below(kInfinity, original & kMagnitude), kNaN, rounded));
  }
};

}  // namespace onepass::storage
