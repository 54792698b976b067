// fans.cpp - fan in, fan out, and gain.
#include "onepass/initializers/fans.hpp"

#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "host/initializers/shape.hpp"
#include "onepass/initializers/gain.hpp"

namespace onepass::initializers {

Fans calculate_fan_in_and_fan_out(std::span<const std::int64_t> shape) {
  if (shape.size() < 2) {
    throw InvalidArgument("onepass: fan in and fan out need a shape of at least 2 dimensions, but it is " +
                          shape_text(shape));
  }
  (void)elements_of(shape);
  const std::int64_t window = elements_of(shape.subspan(2));
  return {.fan_in = shape[1] * window, .fan_out = shape[0] * window};
}

double calculate_fan(std::span<const std::int64_t> shape, FanMode mode) {
  const Fans fans = calculate_fan_in_and_fan_out(shape);
  const auto in = static_cast<double>(fans.fan_in), out = static_cast<double>(fans.fan_out);
  switch (mode) {
    case FanMode::fan_in:
      return in;
    case FanMode::fan_out:
      return out;
    case FanMode::fan_avg:
      return (in + out) / 2.0;
  }
  throw InvalidArgument("onepass: FanMode must be fan_in, fan_out or fan_avg, but is " +
                        std::to_string(static_cast<int>(mode)));
}

double calculate_gain(Nonlinearity nonlinearity, std::optional<double> param) {
  constexpr double kDefaultSlope = 0.01;
  const double slope = param.value_or(kDefaultSlope);
  if (!std::isfinite(slope)) {
    throw InvalidArgument("onepass: calculate_gain: param must be finite, but is " + number(slope));
  }
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      return 1.0;
    case Nonlinearity::tanh:
      return 5.0 / 3.0;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      return std::sqrt(2.0 / (1.0 + slope * slope));
    case Nonlinearity::selu:
      return 3.0 / 4.0;
  }
  throw InvalidArgument("onepass: calculate_gain: there is no nonlinearity with the number " +
                        std::to_string(static_cast<int>(nonlinearity)));
}

}  // namespace onepass::initializers
