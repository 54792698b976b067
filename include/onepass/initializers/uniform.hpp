// uniform.hpp - initializer that draws uniformly between two bounds.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.uniform_: low + u * (high - low), where u is a multiple of 2^-24 in [0, 1). Any shape. The
/// bounds are rounded to float32. The result can be `low` but not `high`, unless both are equal; then every
/// element is `low`. Throws InvalidArgument unless both are finite in float32 and low <= high.
struct Uniform {
  double low = 0.0;
  double high = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
