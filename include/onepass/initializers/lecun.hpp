// lecun.hpp - LeCun initializers: variance 1 / fan_in, for linear units and SELU.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// jax.nn.initializers.lecun_uniform and Keras's LecunUniform: uniform in [-b, b) with b = sqrt(3 / fan_in).
/// PyTorch does not have it. Source: LeCun et al. 1998, "Efficient BackProp". Shapes: see
/// calculate_fan_in_and_fan_out(). Throws InvalidArgument if the shape has no fans.
struct LecunUniform {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// jax.nn.initializers.lecun_normal and Keras's LecunNormal: VariancePreservingTruncatedNormal with
/// std = sqrt(1 / fan_in). For the plain normal distribution with this std use
/// KaimingNormal{.nonlinearity = Nonlinearity::linear}. Source, shapes and exceptions: as LecunUniform.
struct LecunNormal {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
