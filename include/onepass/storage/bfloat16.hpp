// bfloat16.hpp - numbers stored as bfloat16: the upper half of a float32.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// A codec: bfloat16, 8 bits of exponent and 7 of mantissa, in 2 bytes. Denormals are kept in both
/// directions.
struct BFloat16 {
  using Element = std::uint16_t;
  static constexpr DType kDType = DType::bfloat16;
  static constexpr Element kNaN = 0x7fc0;
  static constexpr Element kLargest = 0x7f7f;  ///< Finite: 3.39e38.

  /// Exact.
  static ONEPASS_LANE float decode(Element stored) { return float_of(Bits{stored} << 16); }

  /// To nearest, ties to even: at most 2^-8 of the value away, or 2^-134 below 2^-126. From 0x1.ffp127 on
  /// Inf. Every NaN becomes kNaN.
  static ONEPASS_LANE Element encode(float x) {
    const Bits bits = bits_of(x);
    return canonical(bits, round_to_even<16>(bits));
  }

  /// To one of the two neighbours, the nearer one the more often: the lower 16 of `random` are uniform bits,
  /// and of their 65,536 values as many round away from zero as x is 65,536ths of the way there. So the mean
  /// is x exactly, and what bfloat16 holds stays. Beyond kLargest there is no neighbour to be fair with:
  /// finite values there round to nearest, to kLargest below 0x1.ffp127 and to Inf from there on, whatever
  /// the bits. Inf stays Inf, every NaN becomes kNaN.
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
