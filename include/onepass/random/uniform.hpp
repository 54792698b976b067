// uniform.hpp - evenly distributed numbers from random words: the same bits on host and device.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"

namespace onepass::random {

/// A word as a double, exactly; without the conversion of unsigned numbers, for which AVX2 has no
/// instruction.
ONEPASS_LANE double exact(std::uint32_t word) {
  return lane::series::from_bits(0x4330000000000000u | word) - 0x1p52;
}

/// A multiple of 2^-24 in [0, 1): the word's upper 24 bits.
ONEPASS_LANE float uniform(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;
}

/// The middle of one of 2^32 equal parts of (0, 1): never 0, never 1, and 1 - u is one of them too.
ONEPASS_LANE double uniform_open(std::uint32_t word) { return lane::fma(exact(word), 0x1p-32, 0x1p-33); }

/// [low, high) in float32.
struct Interval {
  double low;    ///< A float.
  double width;  ///< high - low.
  float last;    ///< The largest float below high; low where the interval is empty.
};

/// low + u * (high - low) with u = uniform(word), formed in double and rounded once; never high, where that
/// rounds up to it.
ONEPASS_LANE float uniform(const Interval& interval, std::uint32_t word) {
  const auto value =
      static_cast<float>(lane::fma(static_cast<double>(uniform(word)), interval.width, interval.low));
  return value > interval.last ? interval.last : value;
}

}  // namespace onepass::random
