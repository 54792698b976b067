// constant.hpp - initializers that set every element to the same number.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.constant_: every element is `value`, rounded once to float32. Any shape. Throws
/// InvalidArgument unless `value` is finite in float32.
struct Constant {
  double value = 0.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.zeros_: every element is +0. Any shape.
struct Zeros {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.ones_: every element is 1. Any shape.
struct Ones {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
