// float16.hpp - numbers stored as IEEE binary16.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// Magnitudes in the range of binary16, with kExtra bits of mantissa beyond its 10: 5 bits of exponent, then
/// the mantissa. Denormals, evenly spaced by 2^(-24 - kExtra), are those below kSmallestNormal.
template <int kExtra>
struct Binary16 {
  static constexpr int kDropped = kMantissaBits - 10 - kExtra;  ///< Of a float32's mantissa.
  static constexpr Bits kSmallestNormal = 0x400u << kExtra;     ///< 2^-14.
  static constexpr Bits kInf = 0x7c00u << kExtra;
  /// The exponents' biases differ by 127 - 15.
  static constexpr Bits kRebias = Bits{127 - 15} << kMantissaBits;
  static constexpr Bits kSmallestNormalFloat = kRebias + (Bits{1} << kMantissaBits);

  /// To nearest, ties to even; what is too large becomes kInf. `magnitude`: of a float32 that is not NaN.
  static ONEPASS_LANE Bits round(Bits magnitude) {
    // The sum rounds: its last place is worth 2^(-24 - kExtra).
    constexpr Bits kSpacing = Bits{127 - 1 - kExtra} << kMantissaBits;
    const Bits denormal = bits_of(float_of(magnitude) + float_of(kSpacing)) - kSpacing;
    const Bits normal = round_to_even<kDropped>(magnitude - kRebias);
    return finish(magnitude, normal, denormal);
  }

  /// The right one of two, and Inf for what is too large.
  static ONEPASS_LANE Bits finish(Bits magnitude, Bits normal, Bits denormal) {
    const Bits limited = select(below(normal, kInf), normal, kInf);
    return select(below(magnitude, kSmallestNormalFloat), denormal, limited);
  }

  /// The magnitude as a float32's, exactly. NaN stays NaN.
  static ONEPASS_LANE Bits widen(Bits stored) {
    const Bits shifted = stored << kDropped;
    // m * 2^-24 is what (1 + m / 1024) * 2^-14 has above 2^-14.
    const Bits denormal = bits_of(float_of(shifted + kSmallestNormalFloat) - float_of(kSmallestNormalFloat));
    const Bits normal = shifted + select(below(stored, kInf), kRebias, 2 * kRebias);
    return select(below(stored, kSmallestNormal), denormal, normal);
  }
};

/// A codec: IEEE binary16, 5 bits of exponent and 10 of mantissa, in 2 bytes. Denormals are kept in both
/// directions.
struct Float16 {
  using Element = std::uint16_t;
  static constexpr DType kDType = DType::float16;
  static constexpr Element kNaN = 0x7e00;
  static constexpr float kLargest = 65504.0f;  ///< Finite.

  /// Exact.
  static ONEPASS_LANE float decode(Element stored) {
    return float_of(Binary16<0>::widen(stored & 0x7fffu) | (Bits{stored} & 0x8000u) << 16);
  }

  /// To nearest, ties to even: at most 2^-11 of the value away, or 2^-25 below 2^-14. From 65520 on Inf.
  /// Every NaN becomes kNaN.
  static ONEPASS_LANE Element encode(float x) {
    const Bits bits = bits_of(x);
    return finish(bits, Binary16<0>::round(bits & kMagnitude));
  }

  /// To one of the two neighbours, as BFloat16::encode_stochastic: the mean is x exactly for |x| >= 2^-17.
  /// Below that, where a float32 has more than 16 bits beyond the last of a denormal, x is first rounded to a
  /// multiple of 2^-40, and the mean is off by at most 2^-41. What float16 holds stays. Finite values beyond
  /// kLargest round to nearest: to kLargest below 65520, to Inf from there on. Inf stays Inf, every NaN
  /// becomes kNaN.
  static ONEPASS_LANE Element encode_stochastic(float x, std::uint32_t random) {
    using Half = Binary16<0>;
    const Bits bits = bits_of(x);
    const Bits magnitude = bits & kMagnitude;
    const Bits noise = random & 0xffffu;
    constexpr Bits kLargestBits = 0x477fe000u, kHalf = 0x1000u;
    const Bits last = select(below(magnitude, kLargestBits), noise >> 3, kHalf);
    const Bits normal = (magnitude - Half::kRebias + last) >> Half::kDropped;
    return finish(bits, Half::finish(magnitude, normal, (fixed(magnitude) + noise) >> 16));
  }

 private:
  static ONEPASS_LANE Element finish(Bits original, Bits magnitude) {
    const Bits rounded = magnitude | (original >> 16 & 0x8000u);
    return static_cast<Element>(select(below(kInfinity, original & kMagnitude), kNaN, rounded));
  }

  /// A magnitude below 2^-14 in units of 2^-40, to nearest.
  static ONEPASS_LANE Bits fixed(Bits magnitude) {
    // From 2^-17 on a float is such a multiple; below, the sum rounds to one.
    constexpr Bits kExact = Bits{127 - 17} << kMantissaBits;
    const Bits small = bits_of(float_of(magnitude) + float_of(kExact)) - kExact;
    const Bits limited = select(below(magnitude, kNormal), magnitude, kNormal);
    const auto exact = static_cast<Bits>(static_cast<std::int32_t>(float_of(limited) * 0x1p40f));
    return select(below(magnitude, kExact), small, exact);
  }
  static constexpr Bits kNormal = Binary16<0>::kSmallestNormalFloat;
};

}  // namespace onepass::storage
