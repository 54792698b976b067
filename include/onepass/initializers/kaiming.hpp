// kaiming.hpp - Kaiming (He) initializers, which keep the variance through rectifiers.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"
#include "onepass/initializers/fans.hpp"
#include "onepass/initializers/gain.hpp"

namespace onepass::initializers {

/// torch.nn.init.kaiming_uniform_: uniform in [-b, b) with
///
///     b    = sqrt(3) * gain / sqrt(fan)
///     gain = calculate_gain(nonlinearity, a)
///
/// PyTorch's own linear and convolution layers use a = sqrt(5), which gives b = 1 / sqrt(fan_in).
///
/// Source: He et al. 2015, arXiv 1502.01852. Shapes: see calculate_fan_in_and_fan_out(). Throws
/// InvalidArgument if `a` is not finite or the shape has no fans.
struct KaimingUniform {
  double a = 0.0;  ///< Negative slope of leaky_relu; the other nonlinearities ignore it.
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.kaiming_normal_: normal with mean 0 and std = gain / sqrt(fan). Gain, source, shapes and
/// exceptions: as KaimingUniform.
struct KaimingNormal {
  double a = 0.0;  ///< Negative slope of leaky_relu; the other nonlinearities ignore it.
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
