// dirac.hpp - identity initializers for linear layers and convolutions.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.eye_: 1 on the diagonal, 0 elsewhere. Throws InvalidArgument unless the shape has 2
/// dimensions.
struct Eye {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.dirac_: a convolution that copies as many input channels to the output as both sides have.
/// An element is 1 if the input and output channel of its channel group are equal and it is at index k / 2 of
/// the kernel in every dimension; all others are 0. Throws InvalidArgument unless the shape has 3 to 5
/// dimensions and groups >= 1 divides the first.
struct Dirac {
  std::int64_t groups = 1;  ///< Channel groups of the convolution (torch's `groups`).
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
