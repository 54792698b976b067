// floats.hpp - float32 inputs for the tests of codecs.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "reference/storage.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {

constexpr float kInf = std::numeric_limits<float>::infinity();

inline float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
inline std::uint32_t to_bits(float x) { return std::bit_cast<std::uint32_t>(x); }

/// NaNs of both signs: quiet and signalling, with the smallest and the largest payload.
inline const std::vector<float>& nans() {
  static const std::vector<float> all = [] {
    std::vector<float> drawn;
    for (const std::uint32_t bits : {0x7f800001u, 0x7fbfffffu, 0x7fc00000u, 0x7fff8000u, 0x7fffffffu}) {
      drawn.push_back(from_bits(bits));
      drawn.push_back(from_bits(bits | 0x80000000u));
    }
    return drawn;
  }();
  return all;
}

/// Returns a float of random bits. All patterns are equally likely, so it is denormal, Inf or NaN at times.
inline float any_float(std::uint64_t key) { return from_bits(static_cast<std::uint32_t>(mix(key) >> 32)); }

/// Calls visit(x) for every value of a format, the midpoint between it and the next value, two random points
/// in between, and the two nearest floats on both sides of each of these; all with both signs. This includes
/// the midpoint above the largest value.
template <class Visit>
void around_every_value(reference::Format format, Visit visit) {
  const std::uint32_t count = format.infinity();
  for (std::uint32_t pattern = 0; pattern < count; ++pattern) {
    const double low = reference::value_of(format, pattern);
    const double step = reference::spacing_at(format, low);
    for (const double place : {0.0, 0.5, uniform(2 * pattern), uniform(2 * pattern + 1)}) {
      const auto middle = static_cast<float>(low + place * step);
      const float below = std::nextafter(middle, 0.0f), above = std::nextafter(middle, kInf);
      for (const float x : {middle, below, above, std::nextafter(below, 0.0f), std::nextafter(above, kInf)}) {
        visit(x);
        visit(-x);
      }
    }
  }
}

}  // namespace onepass::test
