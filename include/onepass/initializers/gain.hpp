// gain.hpp - factors that compensate for the shrinking of activations by a nonlinearity.
#pragma once

#include <optional>

namespace onepass::initializers {

/// The activation function that follows a weight.
enum class Nonlinearity : unsigned char { linear, sigmoid, tanh, relu, leaky_relu, selu };

/// torch.nn.init.calculate_gain, to the last digit:
///
///     linear, sigmoid   1
///     tanh              5 / 3
///     relu              sqrt(2)
///     leaky_relu        sqrt(2 / (1 + param^2))
///     selu              3 / 4
///
/// Use `linear` for PyTorch's conv1d, conv2d and so on too. `param` is the negative slope of leaky_relu, 0.01
/// if not given; the other nonlinearities ignore it. Throws InvalidArgument if `param` is not finite.
double calculate_gain(Nonlinearity nonlinearity, std::optional<double> param = {});

}  // namespace onepass::initializers
