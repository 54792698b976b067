// normal.hpp - normally distributed, as wide as one says.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.normal_: mean + std * z, z standard normal by Box and Muller (random/normal.hpp), in double
/// and rounded once. Any shape. Throws InvalidArgument unless both are finite in float32 and std >= 0.
struct Normal {
  double mean = 0.0;
  double std = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
