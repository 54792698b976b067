// storage.hpp - how numbers are stored, in float64: binary formats by ldexp, 8-bit states by their formulas.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace reference {

/// A binary format as in IEEE 754: a sign, then exponent_bits, then mantissa_bits.
struct Format {
  int exponent_bits, mantissa_bits;

  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  /// Pattern of +Inf.
  [[nodiscard]] std::uint32_t infinity() const {
    return ((std::uint32_t{1} << exponent_bits) - 1) << mantissa_bits;
  }
  /// Pattern of the sign bit alone.
  [[nodiscard]] std::uint32_t sign() const { return std::uint32_t{1} << (exponent_bits + mantissa_bits); }
};

inline constexpr Format kBFloat16{8, 7}, kFloat16{5, 10};
/// The same formats with 8 more bits of mantissa.
inline constexpr Format kBFloat24{8, 15}, kFloat24{5, 18};

/// Value that a pattern represents.
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

/// Distance between neighbouring values at a finite x.
inline double spacing_at(Format format, double x) {
  const int smallest = 1 - format.bias();
  const int exponent = x == 0.0 ? smallest : std::max(std::ilogb(x), smallest);
  return std::ldexp(1.0, exponent - format.mantissa_bits);
}

/// Two ways to treat a value half way between two neighbours.
enum class Ties { to_even, away };

/// Pattern nearest to x. x must not be NaN.
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
  // The hidden bit adds one to the exponent field. Denormals have no hidden bit.
  const double field = std::ldexp(value, format.mantissa_bits - exponent);
  const auto pattern = static_cast<std::uint32_t>(exponent + format.bias() - 1) << format.mantissa_bits;
  const std::uint32_t result = pattern + static_cast<std::uint32_t>(field);
  return sign | std::min(result, format.infinity());
}

/// Companded code of a signed element of a block, in [-127, 127] and not rounded. With
/// y = 1 + 14.75 |x| / scale, every factor of two of y has 32 evenly spaced codes.
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

/// Code of an element that is not below 0, in [0, 255] and not rounded. `scale` is that of the square roots.
inline double nonnegative_code(double x, double scale) {
  return scale == 0.0 ? 0.0 : 255.0 * std::sqrt(x) / scale;
}

inline double nonnegative_value(double code, double scale) {
  const double root = scale * code / 255.0;
  return root * root;
}

}  // namespace reference
