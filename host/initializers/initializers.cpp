// initializers.cpp - the distribution() functions of all initializers: their formulas and range checks.
#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "host/initializers/shape.hpp"
#include "onepass/initializers/initialize.hpp"
#include "onepass/rule/check.hpp"

namespace onepass::initializers {
namespace {

using Shape = std::span<const std::int64_t>;

void require_positive(rule::Named which, double value) {
  rule::require_nonnegative(which, value);
  if (!(static_cast<float>(value) > 0.0f)) {
    throw InvalidArgument("onepass: " + std::string(which.rule) + "." + which.hyperparameter +
                          " must be above 0 in float32, but is " + number(value));
  }
}

/// Returns the uniform distribution with mean 0 and this standard deviation.
Distribution uniform_of_std(double std) {
  const double bound = std::sqrt(3.0) * std;
  return uniform(-bound, bound);
}

/// Returns gain / sqrt(fan). A weight with a fan of 0 has no elements, so any number will do.
double std_of(double gain, double fan) { return fan > 0.0 ? gain / std::sqrt(fan) : 0.0; }

/// Returns the standard deviation of the Xavier initializers.
double xavier_std(const char* name, double gain, Shape shape) {
  rule::require_nonnegative({name, "gain"}, gain);
  return std_of(gain, calculate_fan(shape, FanMode::fan_avg));
}

/// Standard deviation of a standard normal distribution cut off at -2 and 2 (JAX's constant).
constexpr double kStdWithinTwo = 0.87962566103423978;

/// Returns a normal distribution, cut off at two standard deviations, whose standard deviation after that is
/// `std`.
Distribution truncated_to_std(double mean, double std) {
  const double uncut = std / kStdWithinTwo;
  return truncated_normal(mean, uncut, mean - 2.0 * uncut, mean + 2.0 * uncut);
}

}  // namespace

Distribution Constant::distribution(Shape /*shape*/) const {
  rule::require_finite({"Constant", "value"}, value);
  return constant(value);
}

Distribution Zeros::distribution(Shape /*shape*/) const { return constant(0.0); }

Distribution Ones::distribution(Shape /*shape*/) const { return constant(1.0); }

Distribution Uniform::distribution(Shape /*shape*/) const {
  rule::require_finite({"Uniform", "low"}, low);
  rule::require_finite({"Uniform", "high"}, high);
  if (low > high) {
    throw InvalidArgument("onepass: Uniform.low must be at most Uniform.high, but they are " + number(low) +
                          " and " + number(high));
  }
  return uniform(low, high);
}

Distribution Normal::distribution(Shape /*shape*/) const {
  rule::require_finite({"Normal", "mean"}, mean);
  rule::require_nonnegative({"Normal", "std"}, std);
  return normal(mean, std);
}

Distribution XavierUniform::distribution(Shape shape) const {
  return uniform_of_std(xavier_std("XavierUniform", gain, shape));
}

Distribution XavierNormal::distribution(Shape shape) const {
  return normal(0.0, xavier_std("XavierNormal", gain, shape));
}

Distribution KaimingUniform::distribution(Shape shape) const {
  return uniform_of_std(std_of(calculate_gain(nonlinearity, a), calculate_fan(shape, mode)));
}

Distribution KaimingNormal::distribution(Shape shape) const {
  return normal(0.0, std_of(calculate_gain(nonlinearity, a), calculate_fan(shape, mode)));
}

Distribution LecunUniform::distribution(Shape shape) const {
  return uniform_of_std(std_of(1.0, calculate_fan(shape, FanMode::fan_in)));
}

Distribution LecunNormal::distribution(Shape shape) const {
  const double fan = calculate_fan(shape, FanMode::fan_in);
  return fan > 0.0 ? truncated_to_std(0.0, std_of(1.0, fan)) : constant(0.0);
}

Distribution TruncatedNormal::distribution(Shape /*shape*/) const {
  rule::require_finite({"TruncatedNormal", "mean"}, mean);
  require_positive({"TruncatedNormal", "std"}, std);
  rule::require_finite({"TruncatedNormal", "a"}, a);
  rule::require_finite({"TruncatedNormal", "b"}, b);
  if (!(a < b)) {
    throw InvalidArgument("onepass: TruncatedNormal.a must be below TruncatedNormal.b, but they are " +
                          number(a) + " and " + number(b));
  }
  return truncated_normal(mean, std, a, b);
}

Distribution VariancePreservingTruncatedNormal::distribution(Shape /*shape*/) const {
  rule::require_finite({"VariancePreservingTruncatedNormal", "mean"}, mean);
  require_positive({"VariancePreservingTruncatedNormal", "std"}, std);
  return truncated_to_std(mean, std);
}

Distribution Orthogonal::distribution(Shape shape) const {
  rule::require_finite({"Orthogonal", "gain"}, gain);
  if (shape.size() < 2) {
    throw InvalidArgument("onepass: Orthogonal needs a shape of at least 2 dimensions, but it is " +
                          shape_text(shape));
  }
  return {.kind = DistributionKind::orthogonal, .std = gain};
}

Distribution Eye::distribution(Shape shape) const {
  if (shape.size() != 2) {
    throw InvalidArgument("onepass: Eye needs a shape of 2 dimensions, but it is " + shape_text(shape));
  }
  return {.kind = DistributionKind::dirac,
          .places = {.outputs_per_group = shape[0], .inputs = shape[1], .window = 1, .centre = 0}};
}

Distribution Dirac::distribution(Shape shape) const {
  if (shape.size() < 3 || shape.size() > 5) {
    throw InvalidArgument("onepass: Dirac needs a shape of 3 to 5 dimensions, but it is " +
                          shape_text(shape));
  }
  if (groups < 1 || shape[0] % groups != 0) {
    throw InvalidArgument("onepass: Dirac.groups must be at least 1 and divide the " +
                          std::to_string(shape[0]) + " output channels, but is " + std::to_string(groups));
  }
  std::int64_t centre = 0;
  for (const std::int64_t size : shape.subspan(2)) centre = centre * size + size / 2;
  return {.kind = DistributionKind::dirac,
          .places = {.outputs_per_group = shape[0] / groups,
                     .inputs = shape[1],
                     .window = elements_of(shape.subspan(2)),
                     .centre = centre}};
}

}  // namespace onepass::initializers
