// math.hpp - exp, log, pow, sin and cos in double, with the same bits on every backend.
#pragma once

#include "onepass/arithmetic/lane.hpp"

namespace onepass::lane {

/// The parts of lane::exp(), log(), pow(), sincospi(): fixed sequences of IEEE operations (+ - * /, explicit
/// fma, and moves of bits). The exp and cos of the C and CUDA libraries differ between host and device, and
/// between releases. A product that is followed by a sum is written as fma, is exact, or is protected by
/// series::product(), so contraction changes no bit.
///
/// The series are Taylor's, cut where the next term is below 2^-56 of the sum. The errors given in this file
/// are against the exact value, in units in the last place (ulp) of the result;
/// tests/arithmetic/math_test.cpp measures them.
namespace series {

using Bits = unsigned long long;

/// Reinterprets a double as its bits, and bits as a double.
ONEPASS_LANE Bits bits(double x) { return __builtin_bit_cast(Bits, x); }
ONEPASS_LANE double from_bits(Bits x) { return __builtin_bit_cast(double, x); }

inline constexpr double kInfinity = __builtin_huge_val();
inline constexpr double kNaN = __builtin_nan("");

/// Returns 2^exponent. The result must be a normal number.
ONEPASS_LANE double power_of_two(long long exponent) {
  return from_bits(static_cast<Bits>(exponent + 1023) << 52);
}

/// Returns first + x * (second + x * (...)), with one fma for each coefficient.
ONEPASS_LANE double horner(double /*x*/, double last) { return last; }
template <class... Rest>
ONEPASS_LANE double horner(double x, double first, Rest... rest) {
  return fma(x, horner(x, rest...), first);
}

/// A number as the sum of two doubles: high is the number rounded to double, low is the rest.
struct Pair {
  double high, low;
};

/// Returns a + b exactly, if |a| >= |b| or a = 0.
ONEPASS_LANE Pair sum(double a, double b) {
  const double high = a + b;
  return {high, b - (high - a)};
}

/// Returns a * b, rounded before any sum that follows, so a compiler cannot contract the two. It differs from
/// a plain product at most in the sign of a zero.
ONEPASS_LANE double product(double a, double b) { return fma(a, b, 0.0); }

/// ln 2 in two parts. The first has 42 bits, so its product with an exponent is exact.
inline constexpr double kLn2High = 0x1.62e42fefa3800p-1;
inline constexpr double kLn2Low = 0x1.ef35793c76730p-45;

/// Returns e^(x + low) for |low| below 2^-40. Reduces x to n ln 2 + r with |r| <= ln 2 / 2 and sums the
/// series of e^r.
ONEPASS_LANE double exp(double x, double low) {
  if (x != x) return x;
  if (x > 709.8) return kInfinity;
  if (x < -745.2) return 0.0;
  // Adding 1.5 * 2^52 rounds to a whole number and leaves it in the last bits.
  constexpr double kRound = 0x1.8p52;
  const double rounded = fma(x, 0x1.71547652b82fep+0, kRound);
  const double n = rounded - kRound;
  const auto [r, r_low] = sum(fma(-n, kLn2High, x), fma(-n, kLn2Low, low));
  const double tail =
      horner(r, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
             1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0);
  const Pair one = sum(1.0, r);
  const double mantissa = one.high + fma(r * r, tail, one.low + r_low);
  // 2^n is applied as two normal factors. If the result overflows or is denormal, the last product rounds it.
  const auto exponent = static_cast<long long>(n);
  const long long half = exponent / 2;
  return (mantissa * power_of_two(half)) * power_of_two(exponent - half);
}

/// A positive finite x as 2^exponent * (1 + f), with 1 + f in [sqrt(1/2), sqrt(2)).
struct Split {
  double exponent, f;
};

/// Splits a positive finite x, denormals included.
ONEPASS_LANE Split split(double x) {
  const bool denormal = x < 0x1p-1022;
  const Bits pattern = bits(denormal ? x * 0x1p54 : x);
  constexpr Bits kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd;
  const Bits shifted = pattern + (kOne - kRootHalf);
  const auto exponent = static_cast<long long>(shifted >> 52) - 1023;
  const double mantissa = from_bits((shifted & 0x000fffffffffffff) + kRootHalf);
  return {static_cast<double>(denormal ? exponent - 54 : exponent), mantissa - 1.0};
}

/// The logarithm's series from its third term on. With s = f / (2 + f) and z = s^2:
///
///     log(1 + f) = 2 s + s z (2/3 + z * log_tail(z))
ONEPASS_LANE double log_tail(double z) {
  return horner(z, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21,
                2.0 / 23, 2.0 / 25);
}

/// The logarithm of a positive finite x in two parts, with a relative error of about 2^-63.
ONEPASS_LANE Pair log_pair(double x) {
  const auto [exponent, f] = split(x);
  // s = f / (2 + f). divisor_low is the rounding error of 2 + f; s_low is the remainder of the quotient,
  // divided in turn.
  const double divisor = 2.0 + f;
  const double divisor_low = f - (divisor - 2.0);
  const double s = f / divisor;
  const double s_low = fma(-s, divisor_low, fma(-s, divisor, f)) / divisor;
  const double z = s * s;
  const double z_low = fma(2.0 * s, s_low, fma(s, s, -z));
  const double cube = s * z;
  const double cube_low = fma(s, z_low, fma(s_low, z, fma(s, z, -cube)));
  constexpr double kTwoThirds = 2.0 / 3, kTwoThirdsLow = 0x1.5555555555555p-55;
  const double third = product(cube, kTwoThirds);
  const double third_low = fma(cube, kTwoThirdsLow, fma(cube_low, kTwoThirds, fma(cube, kTwoThirds, -third)));
  const Pair first = sum(exponent * kLn2High, 2.0 * s);
  const Pair second = sum(first.high, third);
  const double rest = fma(exponent, kLn2Low, fma(cube * z, log_tail(z), fma(2.0, s_low, third_low)));
  return sum(second.high, (first.low + second.low) + rest);
}

/// Returns sin(pi r), for |r| <= 1/4 and z = r^2.
ONEPASS_LANE double sine(double r, double z) {
  constexpr double kPiHigh = 0x1.921fb54442d18p+1, kPiLow = 0x1.1a62633145c07p-53;
  const double tail =
      horner(z, -0x1.4abbce625be53p+2, 0x1.466bc6775aae2p+1, -0x1.32d2cce62bd86p-1, 0x1.50783487ee782p-4,
             -0x1.e3074fde8871fp-8, 0x1.e8f434d018d63p-12, -0x1.6fadb9f155744p-16, 0x1.aaec32af93359p-21);
  return fma(r, kPiHigh, r * fma(z, tail, kPiLow));
}
/// Returns cos(pi r), for |r| <= 1/4 and z = r^2.
ONEPASS_LANE double cosine(double z) {
  constexpr double kHalfSquareHigh = 0x1.3bd3cc9be45dep+2, kHalfSquareLow = 0x1.692b71366cc04p-52;
  // `most` is 1 - z pi^2 / 2, rounded; `rest` is its rounding error.
  const double most = fma(-z, kHalfSquareHigh, 1.0);
  const double rest = fma(-z, kHalfSquareLow, fma(-z, kHalfSquareHigh, 1.0 - most));
  const double tail =
      horner(z, 0x1.03c1f081b5ac4p+2, -0x1.55d3c7e3cbffap+0, 0x1.e1f506891babbp-3, -0x1.a6d1f2a204a8cp-6,
             0x1.f9d38a3763cc3p-10, -0x1.b6e24f44b128fp-14, 0x1.20c62c2f2d7f5p-18);
  return most + fma(z * z, tail, rest);
}

}  // namespace series

/// Returns e^x, within 1 ulp. A result below 2^-1022 is rounded twice and is within 1 denormal step.
/// exp(-inf) = 0, exp(inf) = inf, and NaN stays NaN.
ONEPASS_LANE double exp(double x) { return series::exp(x, 0.0); }

/// Returns the natural logarithm, within 1 ulp. log(0) = -inf, log(inf) = inf, and log(x) = NaN for x < 0.
ONEPASS_LANE double log(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -series::kInfinity : series::kNaN;
  if (x == series::kInfinity) return x;
  const auto [exponent, f] = series::split(x);
  // 2 s = f - s f and s f = f^2 / 2 - s f^2 / 2, so the rounding of the quotient affects only small terms.
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double half_square = (0.5 * f) * f;
  const double above = fma(z, fma(z, series::log_tail(z), 2.0 / 3), half_square);
  const double small = fma(0.5 * f, f, -fma(s, above, exponent * series::kLn2Low));
  return fma(exponent, series::kLn2High, f - small);
}

/// Returns base^exponent within 2 ulp, or within 1 denormal step where the result is denormal. The base must
/// be >= 0; a negative base gives NaN (no schedule needs one). As in C, x^0 = 1 and 1^y = 1 even for NaN.
/// Bases and exponents of 0 and infinity give the limits.
ONEPASS_LANE double pow(double base, double exponent) {
  if (exponent == 0.0 || base == 1.0) return 1.0;
  if (!(base >= 0.0) || exponent != exponent) return series::kNaN;
  const bool grows = (base > 1.0) == (exponent > 0.0);
  constexpr double kLargest = 0x1.fffffffffffffp+1023;
  if (base == 0.0 || base > kLargest || exponent > kLargest || exponent < -kLargest) {
    return grows ? series::kInfinity : 0.0;
  }
  const series::Pair log = series::log_pair(base);
  const double product = exponent * log.high;
  if (product > 710.0 || product < -746.0) return grows ? series::kInfinity : 0.0;
  return series::exp(product, fma(exponent, log.low, fma(exponent, log.high, -product)));
}

/// A sine and a cosine of the same angle.
struct SinCos {
  double sin, cos;
};

/// Returns sin(pi x) and cos(pi x), each within 1 ulp for every finite x, NaN otherwise. These are better
/// conditioned than sin and cos: multiples of 1/2 give 0 and +-1 exactly. As in C23, a zero of the sine has
/// the sign of x, and a zero of the cosine is +0.
ONEPASS_LANE SinCos sincospi(double x) {
  const double magnitude = x < 0.0 ? -x : x;
  if (!(magnitude < series::kInfinity)) return {series::kNaN, series::kNaN};
  // `turn` is the exact remainder of x modulo the period 2. From 2^53 on every double is even.
  const bool even = magnitude >= 0x1p53;
  const double halves = even ? 0.0 : static_cast<double>(static_cast<long long>(0.5 * magnitude));
  const double turn = even ? 0.0 : fma(-2.0, halves, magnitude);
  const auto quadrant = static_cast<int>(fma(2.0, turn, 0.5));
  const double r = fma(-0.5, static_cast<double>(quadrant), turn);
  const double z = r * r;
  const double s = series::sine(r, z), c = series::cosine(z);
  const bool swapped = (quadrant & 1) != 0;
  const double sin = swapped ? c : s;
  const double cos = swapped ? s : c;
  // + 0.0 turns -0 into +0.
  const double sin_abs = ((quadrant & 2) != 0 ? -sin : sin) + 0.0;
  const double cos_signed = (((quadrant + 1) & 2) != 0 ? -cos : cos) + 0.0;
  const bool negative = (series::bits(x) >> 63) != 0;
  return {negative ? -sin_abs : sin_abs, cos_signed};
}

/// Returns sin(pi x) alone; see sincospi().
ONEPASS_LANE double sinpi(double x) { return sincospi(x).sin; }
/// Returns cos(pi x) alone; see sincospi().
ONEPASS_LANE double cospi(double x) { return sincospi(x).cos; }

}  // namespace onepass::lane
