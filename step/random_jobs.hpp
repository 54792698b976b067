// random_jobs.hpp - the arguments of launches and CPU loops that draw random bits: plain data for both.
#pragma once

#include <cstdint>

#include "onepass/initializers/distribution.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/regularizers/dropout.hpp"

namespace onepass::step {

/// Elements [first, first + count) of a logical tensor.
struct ElementRange {
  std::int64_t first;
  std::int64_t count;
};

/// Draws the elements of `range` from a distribution of any kind but orthogonal. `out` points to the first
/// one.
struct FillJob {
  initializers::Distribution distribution;
  std::uint64_t seed;
  std::uint32_t tensor;
  ElementRange range;
  float* out;
};

/// Applies dropout to the elements of `range`. The pointers point to the first one; residual may be null.
struct DropoutJob {
  regularizers::DropoutCoefficients coefficients;
  const RandomPosition* state;
  std::uint32_t site;
  ElementRange range;
  float* out;
  const float* in;
  const float* residual;
};

}  // namespace onepass::step
