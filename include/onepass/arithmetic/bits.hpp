// bits.hpp - floats as integers: what the codecs are written in.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

/// Selects are between values as wide as a float, and nothing branches: gcc 12 then vectorises every loop
/// over a codec. Comparisons are of signed integers, the only ones that AVX2 has; magnitudes have 31 bits.
namespace onepass::storage {

/// The pattern of a float: sign, 8 bits of exponent, 23 of mantissa.
using Bits = std::uint32_t;

inline constexpr Bits kSign = 0x80000000u, kMagnitude = 0x7fffffffu;
inline constexpr Bits kInfinity = 0x7f800000u;
inline constexpr int kMantissaBits = 23;

ONEPASS_LANE Bits bits_of(float x) { return __builtin_bit_cast(Bits, x); }
ONEPASS_LANE float float_of(Bits x) { return __builtin_bit_cast(float, x); }

/// |x| as an integer. Of two magnitudes the larger number is the larger integer, Inf above every finite one
/// and NaN above Inf: an integer maximum over a group finds the largest, and lets no NaN escape.
ONEPASS_LANE Bits magnitude_of(float x) { return bits_of(x) & kMagnitude; }

/// Of two patterns below 2^31.
ONEPASS_LANE bool below(Bits a, Bits b) {
  return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b);
}

/// By value: `?:` on references selects an address.
ONEPASS_LANE Bits select(bool condition, Bits a, Bits b) { return condition ? a : b; }

/// A pattern without its last kDropped bits, rounded to nearest, ties to even. The carry goes into the
/// exponent, as it must.
template <int kDropped>
ONEPASS_LANE Bits round_to_even(Bits x) {
  constexpr Bits kBelowHalf = (Bits{1} << (kDropped - 1)) - 1;
  return (x + kBelowHalf + ((x >> kDropped) & 1u)) >> kDropped;
}

}  // namespace onepass::storage
