// kaiming.hpp - Kaiming (He): variances kept through rectifiers.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"
#include "onepass/initializers/fans.hpp"
#include "onepass/initializers/gain.hpp"

namespace onepass::initializers {

/// torch.nn.init.kaiming_uniform_: uniform in [-b, b), b = sqrt(3) * gain / sqrt(fan), where
/// gain = calculate_gain(nonlinearity, a). PyTorch's own linear and convolution layers start with
/// a = sqrt(5), which is b = 1 / sqrt(fan_in).
/// Source: He et al. 2015, arXiv 1502.01852. Shapes: fans.hpp. Throws InvalidArgument if a is not finite, or
/// the shape has no fans.
struct KaimingUniform {
  double a = 0.0;  ///< Negative slope; for leaky_relu only.
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.kaiming_normal_: normal, mean 0, std = gain / sqrt(fan). Else as KaimingUniform.
struct KaimingNormal {
  double a = 0.0;  ///< Negative slope; for leaky_relu only.
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
