// rounding.cpp - the PTX rounding modes and the small floating-point formats.
#include "instructions/rounding.hpp"

#include <algorithm>
#include <bit>

namespace cuda_emulator {

double round_to_integer(double x, std::uint8_t rounding) {
  switch (rounding) {
    case kTowardZero:
      return std::trunc(x);
    case kDown:
      return std::floor(x);
    case kUp:
      return std::ceil(x);
    default:
      return std::nearbyint(x);  // The process rounds to nearest even.
  }
}

std::uint16_t to_small(double x, SmallFormat format, std::uint8_t rounding, std::uint8_t options) {
  if (std::isnan(x)) return kSmallNan;
  if ((options & kRelu) != 0 && x <= 0) x = 0.0;
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  const int fraction_bits = format.precision - 1;
  const auto infinity = static_cast<std::uint16_t>((2 * format.max_exponent + 1) << fraction_bits);
  const bool stay_finite = (options & kSatFinite) != 0;
  if (std::isinf(x)) return static_cast<std::uint16_t>(sign | (infinity - (stay_finite ? 1 : 0)));
  if (x == 0) return sign;
  // In units of the last place, the rounded significand is an integer. The unit stops shrinking at the
  // smallest normal exponent. A carry into the exponent needs no special case.
  const int exponent = std::max(std::ilogb(x), 1 - format.max_exponent);
  const double scaled = std::ldexp(std::fabs(x), fraction_bits - exponent);
  const auto significand = static_cast<int>(round_to_integer(scaled, rounding));
  const int biased = exponent + format.max_exponent;
  int bits = ((biased - 1) << fraction_bits) + significand;
  if (bits >= infinity) bits = rounding == kTowardZero || stay_finite ? infinity - 1 : infinity;
  return static_cast<std::uint16_t>(sign | bits);
}

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  float magnitude;
  if (exponent == 31) {
    magnitude =
        fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

double fma_to_odd(double a, double b, double c) {
  const double product = a * b;  // Exact, because the significands have at most 11 bits.
  const double sum = product + c;
  if (!std::isfinite(sum)) return sum;
  const double c_part = sum - product;
  const double error = (product - (sum - c_part)) + (c - c_part);  // Exact (Knuth's two-sum).
  auto bits = std::bit_cast<std::uint64_t>(sum);
  if (error == 0 || (bits & 1) != 0) return sum;
  // The exact value lies strictly between `sum` and a neighbour, and that neighbour is odd.
  const bool away_from_zero = (error > 0) == (sum > 0);
  bits += away_from_zero ? 1 : -1;
  return std::bit_cast<double>(bits);
}

std::uint8_t take_rounding(Modifiers& modifiers) {
  return static_cast<std::uint8_t>(modifiers.take_one({"rn", "rz", "rm", "rp"}, kNearest));
}

}  // namespace cuda_emulator
