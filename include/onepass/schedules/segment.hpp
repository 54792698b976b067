// segment.hpp - the compiled form of every schedule: a flat list of segments, equal in host and device
// memory.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"

namespace onepass {

/// The result of a schedule for one step.
struct Rates {
  double lr;              ///< Learning rate.
  double momentum = 0.0;  ///< Momentum of SGD and RMSProp, beta1 of Adam. Only valid if drives_momentum.
  bool drives_momentum = false;  ///< False: the group keeps its own momentum.
};

namespace schedule {

/// Largest number of steps, milestone and length: a double represents all whole numbers up to 2^53 exactly.
inline constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;

/// The function of a segment. The numbers are saved with an optimizer, so append new kinds at the end.
enum class Kind : std::int32_t {
  identity,
  step,
  multi_step,
  constant,
  linear,
  polynomial,
  cosine_annealing,
  warm_restarts,
  one_cycle,
  cyclic,
  warmup_stable_decay,
  table,
};

/// One schedule over a range of steps. It begins at `begin`, ends where the next segment of its stage begins,
/// and counts its own steps from 0. Stages are composed: each stage uses the rate of the stage before it as
/// its base rate.
struct Segment {
  Kind kind = Kind::identity;
  std::int32_t stage = 0;         ///< Stage of the composition, counted from 0.
  std::int64_t begin = 0;         ///< First step.
  std::int64_t first_number = 0;  ///< Index in View::numbers of the segment's first number, for long data.
  std::int64_t number_count = 0;  ///< Number of the segment's elements in View::numbers.
  double parameters[11] = {};     ///< Packed by the segment() function of the kind's struct; the rest is 0.

  friend bool operator==(const Segment&, const Segment&) = default;
};
static_assert(sizeof(Segment) % 8 == 0);

/// A schedule's segments, sorted by stage and then by begin. Each stage has a segment that begins at 0. The
/// pointers may point to host or device memory.
struct View {
  const Segment* segments;
  std::int64_t segment_count;
  const double* numbers;
};

/// Returns a parameter of a segment as a whole number. If it is not from 0 to kMostSteps, returns -1, which
/// is out of range for every parameter.
ONEPASS_LANE std::int64_t whole(double parameter) {
  const bool fits = parameter >= 0.0 && parameter <= static_cast<double>(kMostSteps);
  return fits ? static_cast<std::int64_t>(parameter) : -1;
}

/// Returns the smaller number.
ONEPASS_LANE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Returns part / all, rounded once.
ONEPASS_LANE double ratio(std::int64_t part, std::int64_t all) {
  return static_cast<double>(part) / static_cast<double>(all);
}

/// Returns the number that is x of the way from a to b, in a straight line. Both ends are exact. x may be a
/// product, because line() has no sum that a compiler could contract with it.
ONEPASS_LANE double line(double a, double b, double x) { return lane::fma(x, b, lane::fma(-x, a, a)); }

/// The weights of two values, for an interpolation with exact ends.
struct Weights {
  double from, to;

  /// Returns the weighted sum of a (weight `from`) and b (weight `to`).
  [[nodiscard]] ONEPASS_LANE double between(double a, double b) const { return lane::fma(to, b, from * a); }
};

/// Returns the weights for half a cosine, x of the way: (1 + cos(pi x)) / 2 for the first value. It is
/// computed as cos^2(pi x / 2), which keeps its digits near 0.
ONEPASS_LANE Weights half_cosine(double x) {
  const auto [sin, cos] = lane::sincospi(0.5 * x);
  return {cos * cos, sin * sin};
}

}  // namespace schedule
}  // namespace onepass
