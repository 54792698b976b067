// bits.hpp - a float's bits as an integer, and the integer operations that the codecs use.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

/// Codecs (how one number is stored), and the operations on a float's bits that they are written in.
///
/// All selects are between 32-bit values and nothing branches, so GCC 12 vectorises every loop over a codec.
/// Comparisons are between signed integers because AVX2 has no others; magnitudes have 31 bits, so their
/// order is the same.
namespace onepass::storage {

/// The bits of a float32: 1 bit of sign, 8 of exponent, 23 of mantissa.
using Bits = std::uint32_t;

inline constexpr Bits kSign = 0x80000000u, kMagnitude = 0x7fffffffu;
inline constexpr Bits kInfinity = 0x7f800000u;
inline constexpr int kMantissaBits = 23;

/// Reinterprets a float as its bits, and bits as a float.
ONEPASS_LANE Bits bits_of(float x) { return __builtin_bit_cast(Bits, x); }
ONEPASS_LANE float float_of(Bits x) { return __builtin_bit_cast(float, x); }

/// Bits of |x|. Their order as integers is the order of the magnitudes, with Inf above every finite number
/// and NaN above Inf. The integer maximum over a block is therefore its largest magnitude, and it is a NaN if
/// any element is NaN.
ONEPASS_LANE Bits magnitude_of(float x) { return bits_of(x) & kMagnitude; }

/// Returns a < b. Both must be below 2^31.
ONEPASS_LANE bool below(Bits a, Bits b) {
  return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b);
}

/// Returns a if the condition holds, else b. Takes values because `?:` on references selects an address.
ONEPASS_LANE Bits select(bool condition, Bits a, Bits b) { return condition ? a : b; }

/// Drops the last kDropped bits of x, rounding to nearest, ties to even. A carry out of the mantissa
/// increments the exponent, which is the correct result.
template <int kDropped>
ONEPASS_LANE Bits round_to_even(Bits x) {
  constexpr Bits kBelowHalf = (Bits{1} << (kDropped - 1)) - 1;
  return (x + kBelowHalf + ((x >> kDropped) & 1u)) >> kDropped;
}

}  // namespace onepass::storage
