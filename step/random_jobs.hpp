// random_jobs.hpp - what a launch, or a CPU loop, that draws random bits is told: plain data for both.
#pragma once

#include <cstdint>

#include "onepass/initializers/distribution.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/regularizers/dropout.hpp"

namespace onepass::step {

/// A run of elements of a logical tensor: [first, first + count).
struct Run {
  std::int64_t first;
  std::int64_t count;
};

/// Elements of `run`, drawn from a distribution; out points to the first. Any kind but orthogonal.
struct FillJob {
  initializers::Distribution distribution;
  std::uint64_t seed;
  std::uint32_t tensor;
  Run run;
  float* out;
};

/// Elements of `run` through dropout; the pointers point to the first. residual may be null.
struct DropoutJob {
  regularizers::DropoutCoefficients coefficients;
  const RandomPosition* state;
  std::uint32_t site;
  Run run;
  float* out;
  const float* in;
  const float* residual;
};

}  // namespace onepass::step
