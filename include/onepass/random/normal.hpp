// normal.hpp - normally distributed numbers from random words, with the same bits on host and device.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"
#include "onepass/random/uniform.hpp"

namespace onepass::random {

/// Returns the natural logarithm of x, which must be a normal number (no denormal) in (0, 1]. It is lane::log
/// without the special cases, so a loop over it vectorises.
ONEPASS_LANE double log_of_share(double x) {
  using lane::series::Bits;
  constexpr Bits kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd;
  const Bits shifted = lane::series::bits(x) + (kOne - kRootHalf);
  const double exponent = lane::series::from_bits(0x4330000000000000 | shifted >> 52) - (0x1p52 + 1023.0);
  const double f = lane::series::from_bits((shifted & 0x000fffffffffffff) + kRootHalf) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double half_square = (0.5 * f) * f;
  const double above = lane::fma(z, lane::fma(z, lane::series::log_tail(z), 2.0 / 3), half_square);
  const double small = lane::fma(0.5 * f, f, -lane::fma(s, above, exponent * lane::series::kLn2Low));
  return lane::fma(exponent, lane::series::kLn2High, f - small);
}

/// Returns sine and cosine of 2 pi turn for turn in [0, 1]. It is lane::sincospi(2 * turn) without branches.
ONEPASS_LANE lane::SinCos sincos_of_turn(double turn) {
  using lane::series::Bits;
  // Adding 1.5 * 2^52 rounds to a whole number of quarters and leaves it in the last bits.
  const double rounded = lane::fma(4.0, turn, 0x1.8p52);
  const Bits quarter = lane::series::bits(rounded);
  const double r = lane::fma(-0.5, rounded - 0x1.8p52, 2.0 * turn);
  const double z = r * r;
  const double sine = lane::series::sine(r, z), cosine = lane::series::cosine(z);
  const bool swapped = (quarter & 1) != 0;
  const double sin = swapped ? cosine : sine;
  const double cos = swapped ? sine : cosine;
  return {lane::series::from_bits(lane::series::bits(sin) ^ (quarter & 2) << 62),
          lane::series::from_bits(lane::series::bits(cos) ^ ((quarter + 1) & 2) << 62)};
}

/// Two independent normally distributed numbers with mean 0 and standard deviation 1.
struct NormalPair {
  double first, second;
};

/// Returns two normally distributed numbers. With u = uniform_open(a) and v = uniform_open(b):
///
///     first  = sqrt(-2 log u) cos(2 pi v)
///     second = sqrt(-2 log u) sin(2 pi v)
///
/// in double, each within 4 ulp of double. Their magnitude is at most 6.77; the true distribution has a share
/// of 1.3e-11 beyond that. Source: Box and Muller 1958.
ONEPASS_LANE NormalPair normal_pair(std::uint32_t a, std::uint32_t b) {
  const double radius = lane::sqrt(-2.0 * log_of_share(uniform_open(a)));
  const lane::SinCos angle = sincos_of_turn(uniform_open(b));
  return {radius * angle.cos, radius * angle.sin};
}

}  // namespace onepass::random
