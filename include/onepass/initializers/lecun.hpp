// lecun.hpp - LeCun: variance 1 / fan_in, for linear units and SELU.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// jax.nn.initializers.lecun_uniform, Keras's LecunUniform: uniform in [-b, b), b = sqrt(3 / fan_in). Not in
/// PyTorch. Source: LeCun et al. 1998, "Efficient BackProp". Shapes: fans.hpp. Throws InvalidArgument if the
/// shape has no fans.
struct LecunUniform {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// jax.nn.initializers.lecun_normal, Keras's LecunNormal: VariancePreservingTruncatedNormal with
/// std = sqrt(1 / fan_in). The plain normal distribution of that std is
/// KaimingNormal{.nonlinearity = Nonlinearity::linear}. Else as LecunUniform.
struct LecunNormal {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
