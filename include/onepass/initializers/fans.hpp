// fans.hpp - how many inputs and outputs a weight connects.
#pragma once

#include <cstdint>
#include <span>

namespace onepass::initializers {

/// Inputs that one output sums over, and outputs that one input reaches.
struct Fans {
  std::int64_t fan_in = 0;
  std::int64_t fan_out = 0;
};

/// torch.nn.init._calculate_fan_in_and_fan_out. A weight is (out, in) for a linear layer, and
/// (out, in / groups, k...) for a convolution:
///     fan_in = shape[1] * prod(k), fan_out = shape[0] * prod(k)
/// Throws InvalidArgument if there are fewer than 2 dimensions, if one is negative, or if the product does
/// not fit into 63 bits.
Fans calculate_fan_in_and_fan_out(std::span<const std::int64_t> shape);

/// Which of them a variance is divided by.
enum class FanMode : unsigned char {
  fan_in,   ///< Keeps the variance of activations in the forward pass.
  fan_out,  ///< Keeps the variance of gradients in the backward pass.
  fan_avg,  ///< (fan_in + fan_out) / 2; JAX's and Keras's, not in PyTorch.
};

double calculate_fan(std::span<const std::int64_t> shape, FanMode mode);

}  // namespace onepass::initializers
