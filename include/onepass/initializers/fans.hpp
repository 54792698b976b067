// fans.hpp - fan in and fan out of a weight.
#pragma once

#include <cstdint>
#include <span>

namespace onepass::initializers {

/// Fan in and fan out of a weight.
struct Fans {
  std::int64_t fan_in = 0;   ///< Number of inputs that one output sums over.
  std::int64_t fan_out = 0;  ///< Number of outputs that one input reaches.
};

/// torch.nn.init._calculate_fan_in_and_fan_out. The shape of a weight is (out, in) for a linear layer and
/// (out, in / groups, k...) for a convolution:
///
///     fan_in  = shape[1] * prod(k)
///     fan_out = shape[0] * prod(k)
///
/// Throws InvalidArgument if the shape has fewer than 2 dimensions, if one of them is negative, or if their
/// product does not fit into 63 bits.
Fans calculate_fan_in_and_fan_out(std::span<const std::int64_t> shape);

/// The fan by which an initializer divides the variance.
enum class FanMode : unsigned char {
  fan_in,   ///< Keeps the variance of activations in the forward pass.
  fan_out,  ///< Keeps the variance of gradients in the backward pass.
  fan_avg,  ///< (fan_in + fan_out) / 2, as in JAX and Keras. PyTorch does not have it.
};

/// Returns the fan of a shape that `mode` selects. Throws InvalidArgument as calculate_fan_in_and_fan_out()
/// does.
double calculate_fan(std::span<const std::int64_t> shape, FanMode mode);

}  // namespace onepass::initializers
