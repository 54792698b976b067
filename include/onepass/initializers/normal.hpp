// normal.hpp - initializer that draws from a normal distribution.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.normal_: mean + std * z, with z standard normal by Box and Muller (random::normal_pair()),
/// computed in double and rounded once. Any shape. Throws InvalidArgument unless std >= 0 and the largest
/// number, |mean| + 6.77 std, is finite in float32.
struct Normal {
  double mean = 0.0;
  double std = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
