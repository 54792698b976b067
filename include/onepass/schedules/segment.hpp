// segment.hpp - the one form that every schedule takes: flat segments, the same in host and device memory.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"

namespace onepass {

/// What a schedule says of one step.
struct Rates {
  double lr;              ///< The learning rate.
  double momentum = 0.0;  ///< SGD's and RMSProp's momentum, Adam's beta1; without meaning unless driven.
  bool drives_momentum = false;  ///< False: the momentum is the group's own.
};

namespace schedule {

/// Steps, milestones and lengths are whole numbers that a double holds.
inline constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;

/// The functions that segments can be. Saved with an optimizer: new ones go to the end.
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

/// One schedule over one stretch of steps: it begins at `begin`, lasts until the next segment of its stage
/// begins, and counts its own steps from 0. Stages are functions of functions: each takes the rate of the one
/// before as its base.
struct Segment {
  Kind kind = Kind::identity;
  std::int32_t stage = 0;
  std::int64_t begin = 0;
  std::int64_t first_number = 0;  ///< What is longer than `parameters` lies in View::numbers.
  std::int64_t number_count = 0;
  double parameters[11] = {};  ///< As the kind's struct says; the rest is 0.

  friend bool operator==(const Segment&, const Segment&) = default;
};
static_assert(sizeof(Segment) % 8 == 0);

/// Segments sorted by stage, then by begin; each stage has one that begins at 0. In any memory.
struct View {
  const Segment* segments;
  std::int64_t segment_count;
  const double* numbers;
};

/// A whole number out of a segment's parameters; -1, which no parameter may be, for what is none.
ONEPASS_LANE std::int64_t whole(double parameter) {
  const bool fits = parameter >= 0.0 && parameter <= static_cast<double>(kMostSteps);
  return fits ? static_cast<std::int64_t>(parameter) : -1;
}

ONEPASS_LANE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

ONEPASS_LANE double ratio(std::int64_t part, std::int64_t all) {
  return static_cast<double>(part) / static_cast<double>(all);
}

/// x of the way from a to b in a straight line. Each end is exact, and x may be a product: there is no sum
/// beside it that a compiler could contract.
ONEPASS_LANE double line(double a, double b, double x) { return lane::fma(x, b, lane::fma(-x, a, a)); }

/// Half a cosine from one value to another, as weights of both. Each end is exact.
struct Weights {
  double from, to;

  [[nodiscard]] ONEPASS_LANE double between(double a, double b) const { return lane::fma(to, b, from * a); }
};

/// (1 + cos(pi x)) / 2 = cos^2(pi x / 2), which keeps its digits near 0.
ONEPASS_LANE Weights half_cosine(double x) {
  const auto [sin, cos] = lane::sincospi(0.5 * x);
  return {cos * cos, sin * sin};
}

}  // namespace schedule
}  // namespace onepass
