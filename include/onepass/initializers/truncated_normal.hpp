// truncated_normal.hpp - normal distribution without its tails, in the two conventions in use.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.trunc_normal_: normal with `mean` and `std`, cut off at the absolute bounds a and b. The
/// standard deviation of the drawn numbers is therefore below `std`. Drawn by the inverse of the distribution
/// function (random::truncated_normal()), in double and rounded once. Any shape. Throws InvalidArgument
/// unless all four are finite in float32, std > 0, a < b, and at least 1e-290 of the distribution lies in [a,
/// b].
struct TruncatedNormal {
  double mean = 0.0;
  double std = 1.0;
  double a = -2.0;
  double b = 2.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// The convention of JAX's and Keras's variance_scaling(..., "truncated_normal"): `std` is the standard
/// deviation of the drawn numbers. They come from a normal distribution with the standard deviation
/// s = std / 0.87962566103423978, cut off at mean +- 2 s. Any shape. Throws InvalidArgument unless mean and
/// std are finite in float32 and std > 0.
struct VariancePreservingTruncatedNormal {
  double mean = 0.0;
  double std = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
