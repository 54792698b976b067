// uniform.hpp - uniformly distributed numbers from random words, with the same bits on host and device.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"

namespace onepass::random {

/// Returns a word as a double, exactly. It avoids the conversion of unsigned integers, for which AVX2 has no
/// instruction.
ONEPASS_LANE double exact(std::uint32_t word) {
  return lane::series::from_bits(0x4330000000000000u | word) - 0x1p52;
}

/// Returns the upper 24 bits of a word as a multiple of 2^-24 in [0, 1).
ONEPASS_LANE float uniform(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;
}

/// Returns the middle of part number `word` of 2^32 equal parts of (0, 1). It is never 0 or 1, and 1 - u is
/// such a number too.
ONEPASS_LANE double uniform_open(std::uint32_t word) { return lane::fma(exact(word), 0x1p-32, 0x1p-33); }

/// The interval [low, high) of float32 numbers.
struct Interval {
  double low;    ///< Lower bound, a float32 value.
  double width;  ///< high - low.
  float last;    ///< Largest float32 below high; equal to low if the interval is empty.
};

/// Returns low + u * (high - low) with u = uniform(word), computed in double and rounded once. If that rounds
/// up to high, it returns Interval::last.
ONEPASS_LANE float uniform(const Interval& interval, std::uint32_t word) {
  const auto value =
      static_cast<float>(lane::fma(static_cast<double>(uniform(word)), interval.width, interval.low));
  return value > interval.last ? interval.last : value;
}

}  // namespace onepass::random
