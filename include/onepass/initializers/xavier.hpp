// xavier.hpp - Xavier (Glorot): variances kept in both directions, on average.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.xavier_uniform_: uniform in [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)).
/// Source: Glorot and Bengio 2010. Shapes: fans.hpp. Throws InvalidArgument if gain is negative or not finite
/// in float32, or the shape has no fans.
struct XavierUniform {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.xavier_normal_: normal, mean 0, std = gain * sqrt(2 / (fan_in + fan_out)). Else as
/// XavierUniform.
struct XavierNormal {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
