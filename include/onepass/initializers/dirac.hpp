// dirac.hpp - the identity, for linear layers and convolutions.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.eye_: 1 on the diagonal, else 0. Throws InvalidArgument unless there are 2 dimensions.
struct Eye {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.dirac_: a convolution that passes its input channels on, as many as there are: 1 where input
/// and output channel of a group are equal and the kernel is at index k / 2 in every dimension. Throws
/// InvalidArgument unless there are 3 to 5 dimensions, and groups >= 1 divides the first.
struct Dirac {
  std::int64_t groups = 1;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
