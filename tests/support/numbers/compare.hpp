// compare.hpp - compares floats by their bits; a failure shows the first element that differs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <span>
#include <sstream>
#include <string>

namespace onepass::test {

/// "1.5 (0x3fc00000)"
inline std::string shown(float value) {
  std::ostringstream text;
  text << std::setprecision(9) << value << " (0x" << std::hex << std::setw(8) << std::setfill('0')
       << std::bit_cast<std::uint32_t>(value) << ")";
  return text.str();
}

/// Returns true for equal bit patterns. Any NaN equals any NaN; unlike with ==, +0 differs from -0.
inline bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// Distance in units in the last place: 0 for equal floats, 1 for neighbours.
inline std::int64_t ulp_distance(float a, float b) {
  const auto ordinal = [](float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const auto magnitude = static_cast<std::int64_t>(bits & 0x7fffffffu);
    return (bits >> 31) != 0 ? -magnitude : magnitude;
  };
  const std::int64_t distance = ordinal(a) - ordinal(b);
  return distance < 0 ? -distance : distance;
}

/// Spacing of floats at `magnitude`. The result is meaningless if `magnitude` is not finite.
inline double ulp_of(double magnitude) {
  if (!std::isfinite(magnitude)) return magnitude;
  const double at_least = std::max(magnitude, double{std::numeric_limits<float>::min()});
  return std::ldexp(1.0, std::ilogb(at_least) - 23);
}

inline testing::AssertionResult equal_bits(std::span<const float> expected, std::span<const float> actual) {
  if (expected.size() != actual.size()) {
    return testing::AssertionFailure()
           << "expected " << expected.size() << " elements, got " << actual.size();
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (same_bits(expected[i], actual[i])) continue;
    return testing::AssertionFailure() << "element " << i << " of " << expected.size() << ": expected "
                                       << shown(expected[i]) << ", got " << shown(actual[i]);
  }
  return testing::AssertionSuccess();
}

}  // namespace onepass::test
