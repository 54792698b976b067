// bfloat16.hpp - codec for bfloat16, the upper 16 bits of a float32.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// Codec for bfloat16: 8 bits of exponent and 7 of mantissa, in 2 bytes. Keeps denormals in both directions.
struct BFloat16 {
  using Element = std::uint16_t;
  static constexpr DType kDType = DType::bfloat16;
  static constexpr Element kNaN = 0x7fc0;
  static constexpr Element kLargest = 0x7f7f;  ///< Largest finite number, 3.39e38.

  /// Returns the number as a float32, exactly.
  static ONEPASS_LANE float decode(Element stored) { return float_of(Bits{stored} << 16); }

  /// Rounds to nearest, ties to even. The error is at most 2^-8 of the value, or 2^-134 for magnitudes below
  /// 2^-126. Magnitudes from 0x1.ffp127 on become Inf, and every NaN becomes kNaN.
  static ONEPASS_LANE Element encode(float x) {
    const Bits bits = bits_of(x);
    return canonical(bits, round_to_even<16>(bits));
  }

  /// Rounds stochastically to one of the two neighbours. The lower 16 bits of `random` must be uniform random
  /// bits; the upper ones are ignored. If x is n / 65,536 of the way to the neighbour away from zero, n of
  /// the 65,536 values round to that neighbour. The mean of the result is therefore exactly x, and a number
  /// that bfloat16 can represent does not change.
  ///
  /// Finite magnitudes beyond kLargest have no second finite neighbour, so they round to nearest: to kLargest
  /// below 0x1.ffp127, and to Inf from there on. Inf stays Inf, and every NaN becomes kNaN.
  static ONEPASS_LANE Element encode_stochastic(float x, std::uint32_t random) {
    const Bits bits = bits_of(x);
    constexpr Bits kHalf = 0x8000u;
    const Bits noise = select(below(bits & kMagnitude, Bits{kLargest} << 16), random & 0xffffu, kHalf);
    return canonical(bits, (bits + noise) >> 16);
  }

 private:
  static ONEPASS_LANE Element canonical(Bits original, Bits rounded) {
    return static_cast<Element>(select(below(kInfinity, original & kMagnitude), kNaN, rounded));
  }
};

}  // namespace onepass::storage
