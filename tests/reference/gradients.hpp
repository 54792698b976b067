// gradients.hpp - norms, clipping, micro-batches and loss scaling in float64 and long double.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "reference/number.hpp"

namespace reference {

enum class Norm { l1, l2, infinity };

/// Norm of all tensors as one vector, in long double: 64 bits of mantissa, and exponents far beyond any
/// square of a float32.
inline long double norm(std::span<const std::vector<float>> tensors, Norm type) {
  long double result = 0.0L;
  for (const std::vector<float>& tensor : tensors) {
    for (const float element : tensor) {
      const auto x = std::fabs(static_cast<long double>(element));
      if (type == Norm::l1) result += x;
      if (type == Norm::l2) result += x * x;
      if (type == Norm::infinity && !(x <= result) && !std::isnan(result)) result = x;
    }
  }
  return type == Norm::l2 ? std::sqrt(result) : result;
}

/// The coefficient of torch.nn.utils.clip_grad_norm_: max_norm / (total_norm + 1e-6), clamped to at most 1.
/// Without the 1e-6 it is that of Pascanu et al. 2013, algorithm 1.
inline double clip_coefficient(double max_norm, double norm, bool with_eps) {
  if (!with_eps && norm == 0.0) return 1.0;
  const double quotient = max_norm / (norm + (with_eps ? 1e-6 : 0.0));
  return quotient > 1.0 ? 1.0 : quotient;
}

/// Clips one element as torch.nn.utils.clip_grad_value_ does.
inline Number clip_value(Number g, double limit) {
  if (g.value > limit) return rounded(limit, g.excess());
  if (g.value < -limit) return rounded(-limit, g.excess());
  return g;
}

/// The mean of one element over micro-batches.
inline Number mean(std::span<const float> micro_batches) {
  Number sum(0.0);
  for (const float g : micro_batches) sum = sum + Number(g);
  return sum / Number(static_cast<double>(micro_batches.size()));
}

/// The operations on a gradient before the rule receives it: unscale, clip by norm, clip by value.
struct Handling {
  double loss_scale = 1.0;
  double coefficient = 1.0;
  double limit = std::numeric_limits<double>::infinity();

  /// Returns the number that the rule receives. Its rounding counts as an error of the step's argument.
  [[nodiscard]] Number operator()(Number g) const {
    return clip_value(g * Number(coefficient / loss_scale), limit).carried();
  }
};

/// torch.amp.GradScaler.update() as documented: it multiplies the scale by backoff_factor after a step with
/// non-finite gradients, and by growth_factor after growth_interval steps in a row without them. Its kernel
/// leaves the scale unchanged if it would overflow.
struct GradScaler {
  float scale = 65536.0f;
  double growth_factor = 2.0;
  double backoff_factor = 0.5;
  std::int64_t growth_interval = 2000;
  std::int64_t good_steps = 0;

  void update(bool found_nonfinite) {
    if (found_nonfinite) {
      good_steps = 0;
      scale = static_cast<float>(scale * backoff_factor);
      return;
    }
    good_steps = good_steps + 1;
    if (good_steps != growth_interval) return;
    good_steps = 0;
    const double grown = scale * growth_factor;
    if (grown < 0x1.ffffffp127) scale = static_cast<float>(grown);  // it rounds to a finite float32
  }
};

}  // namespace reference
