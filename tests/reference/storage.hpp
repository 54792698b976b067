// storage.hpp - how numbers lie in memory, in float64: formats by ldexp, groups of 8 bits by their formulas.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace reference {

/// A binary format: a sign, then exponent_bits, then mantissa_bits; as IEEE 754 has them.
struct Format {
  int exponent_bits, mantissa_bits;

  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  /// The pattern of Inf, and that of the sign.
  [[nodiscard]] std::uint32_t infinity() const {
    return ((std::uint32_t{1} << exponent_bits) - 1) << mantissa_bits;
  }
  [[nodiscard]] std::uint32_t sign() const { return std::uint32_t{1} << (exponent_bits + mantissa_bits); }
};

inline constexpr Format kBFloat16{8, 7}, kFloat16{5, 10};
/// With 8 more bits of mantissa.
inline constexpr Format kBFloat24{8, 15}, kFloat24{5, 18};

/// What a pattern stands for.
inline double value_of(Format format, std::uint32_t pattern) {
  const double sign = (pattern & format.sign()) != 0 ? -1.0 : 1.0;
  const std::uint32_t magnitude = pattern & (format.sign() - 1);
  if (magnitude > format.infinity()) return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == format.infinity()) return sign * std::numeric_limits<double>::infinity();
  const std::uint32_t ones = (std::uint32_t{1} << format.mantissa_bits) - 1;
  const auto exponent = static_cast<int>(magnitude >> format.mantissa_bits);
  const double mantissa = static_cast<double>(magnitude & ones) + (exponent > 0 ? ones + 1.0 : 0.0);
  const int scale = (exponent > 0 ? exponent : 1) - format.bias() - format.mantissa_bits;
  return sign * std::ldexp(mantissa, scale);
}

/// The distance of neighbours at a finite x.
inline double spacing_at(Format format, double x) {
  const int smallest = 1 - format.bias();
  const int exponent = x == 0.0 ? smallest : std::max(std::ilogb(x), smallest);
  return std::ldexp(1.0, exponent - format.mantissa_bits);
}

/// Two ways to treat a value half way between two neighbours.
enum class Ties { to_even, away };

/// The pattern nearest to x, which is not NaN.
inline std::uint32_t pattern_of(Format format, double x, Ties ties = Ties::to_even) {
  const std::uint32_t sign = std::signbit(x) ? format.sign() : 0;
  const double magnitude = std::fabs(x);
  if (std::isinf(magnitude)) return sign | format.infinity();
  const double unit = spacing_at(format, magnitude);
  const double steps = magnitude / unit;
  const double rounded = ties == Ties::to_even ? std::nearbyint(steps) : std::floor(steps + 0.5);
  const double value = rounded * unit;
  if (value == 0.0) return sign;
  const int exponent = std::max(std::ilogb(value), 1 - format.bias());
  // The hidden bit adds one to the exponent's field; denormals have none.
  const double field = std::ldexp(value, format.mantissa_bits - exponent);
  const auto pattern = static_cast<std::uint32_t>(exponent + format.bias() - 1) << format.mantissa_bits;
  const std::uint32_t result = pattern + static_cast<std::uint32_t>(field);
  return sign | std::min(result, format.infinity());
}

/// A signed element of a group, companded: in [-127, 127], not rounded. With y = 1 + 14.75 |x| / scale, 32
/// codes for each factor of two, evenly between its ends.
inline double signed_code(double x, double scale) {
  if (scale == 0.0) return 0.0;
  const double y = 1.0 + 14.75 * std::fabs(x) / scale;
  const int octave = std::ilogb(y);
  return std::copysign(32.0 * (octave + std::ldexp(y, -octave) - 1.0), x);
}

inline double signed_value(double code, double scale) {
  const double octave = std::floor(std::fabs(code) / 32.0);
  const double y = std::exp2(octave) * (1.0 + std::fabs(code) / 32.0 - octave);
  return std::copysign(scale * (y - 1.0) / 14.75, code);
}

/// An element that is not below 0, with the scale of the square roots: in [0, 255], not rounded.
inline double nonnegative_code(double x, double scale) {
  return scale == 0.0 ? 0.0 : 255.0 * std::sqrt(x) / scale;
}

inline double nonnegative_value(double code, double scale) {
  const double root = scale * code / 255.0;
  return root * root;
}

}  // namespace reference
