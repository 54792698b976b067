// gain.hpp - how much a nonlinearity shrinks what passes through it.
#pragma once

#include <optional>

namespace onepass::initializers {

/// What follows the weight.
enum class Nonlinearity : unsigned char { linear, sigmoid, tanh, relu, leaky_relu, selu };

/// torch.nn.init.calculate_gain, to the last digit:
///     linear, sigmoid   1                 (linear stands for PyTorch's conv1d, conv2d, ... too)
///     tanh              5 / 3
///     relu              sqrt(2)
///     leaky_relu        sqrt(2 / (1 + param^2)), param the negative slope, 0.01 if not given
///     selu              3 / 4
/// `param` has no meaning for the others. Throws InvalidArgument if it is not finite.
double calculate_gain(Nonlinearity nonlinearity, std::optional<double> param = {});

}  // namespace onepass::initializers
