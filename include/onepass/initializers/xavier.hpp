// xavier.hpp - Xavier (Glorot) initializers, which keep the variance in both directions on average.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.xavier_uniform_: uniform in [-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)).
/// Source: Glorot and Bengio 2010. Shapes: see calculate_fan_in_and_fan_out(). Throws InvalidArgument if
/// `gain` is negative or not finite in float32, or if the shape has no fans.
struct XavierUniform {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.xavier_normal_: normal with mean 0 and std = gain * sqrt(2 / (fan_in + fan_out)). Source,
/// shapes and exceptions: as XavierUniform.
struct XavierNormal {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
