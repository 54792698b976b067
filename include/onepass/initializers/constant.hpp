// constant.hpp - one number everywhere.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.constant_: value, rounded once. Any shape. Throws InvalidArgument unless it is finite in
/// float32.
struct Constant {
  double value = 0.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.zeros_: +0. Any shape.
struct Zeros {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

/// torch.nn.init.ones_. Any shape.
struct Ones {
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
