// rmsprop.hpp - RMSProp: plain, centered, with momentum.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Where RMSProp's eps stands.
enum class Epsilon : unsigned {
  inside_root,   ///< lr / sqrt(E[g^2] + eps) * g
  outside_root,  ///< lr / (sqrt(E[g^2]) + eps) * g, as torch.optim.RMSprop
};

/// RMSProp, elementwise.
///     square_avg = alpha * square_avg + (1 - alpha) * g^2
///     grad_avg   = alpha * grad_avg + (1 - alpha) * g            centered
///     variance   = square_avg, or max(square_avg - grad_avg^2, 0) if centered
///     x          = g / sqrt(variance + eps), or g / (sqrt(variance) + eps)
///     p          = p - lr * x                                    momentum 0
///     buf        = momentum * buf + x;  p = p - lr * buf         momentum
/// where g already carries sign and coupled decay (rule/around.hpp).
/// Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv 1308.0850, eq. 38-45.
/// Deviations: the centered variance is clamped at zero, where rounding would make it negative and its root
/// NaN. eps stands inside the root unless asked for outside.
/// Shapes: p, g and the states have equal numel; element i meets element i. Dtypes: float32.
/// Non-finite gradients propagate into the states and p.
/// Beyond 1.8e19 a gradient's square is not finite in float32: the state is Inf, and NaN a step later.
/// Errors: InvalidArgument where a range below is left.
struct RMSProp {
  double lr = 1e-2;           ///< Parameter units per step; >= 0.
  double alpha = 0.99;        ///< Share of the averages kept per step; in [0, 1).
  double eps = 1e-8;          ///< Squared gradient units inside the root, gradient units outside; >= 0.
  double momentum = 0.0;      ///< Share of buf kept per step; >= 0.
  double weight_decay = 0.0;  ///< Per unit of p; >= 0.
  double l1 = 0.0;            ///< Of the penalty l1 * sum |p|; >= 0.
  Epsilon epsilon = Epsilon::inside_root;
  bool centered = false;  ///< Divides by the standard deviation instead of the root mean square.
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;  ///< Ascends.

  static constexpr const char* kName = "RMSProp";

  struct Coefficients {
    float lr, one_minus_alpha, momentum;
    float eps_inside, eps_outside;  ///< One of them is 0, and adding it changes nothing.
    lane::Flag centered, accumulates;
  };

  static ONEPASS_LANE float normalized(const Coefficients& k, float g, float variance) {
    return g / (lane::sqrt(variance + k.eps_inside) + k.eps_outside);
  }

  static ONEPASS_LANE float centered_variance(const Coefficients& k, float g, float square_avg,
                                              float& grad_avg) {
    grad_avg = lane::lerp(grad_avg, g, k.one_minus_alpha);
    const float variance = lane::max(lane::fma(-grad_avg, grad_avg, square_avg), 0.0f);
    return lane::select(k.centered, variance, square_avg);
  }

  static ONEPASS_LANE float accumulate(const Coefficients& k, float x, float& buf) {
    buf = lane::select(k.accumulates, lane::fma(k.momentum, buf, x), x);
    return k.lr * buf;
  }

  /// In less than 32 bits square_avg is kept as the variance: a difference of two numbers that are rounded so
  /// coarsely is often 0 where it should not be, and the step would be g / eps.
  struct KeepsVariance {
    static ONEPASS_LANE void compress(float& square_avg, float& grad_avg) {
      square_avg = lane::max(lane::fma(-grad_avg, grad_avg, square_avg), 0.0f);
    }
    static ONEPASS_LANE void expand(float& square_avg, float& grad_avg) {
      square_avg = lane::fma(grad_avg, grad_avg, square_avg);
    }
  };

  struct Plain {
    static constexpr std::array kStates{"square_avg"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return k.lr * normalized(k, g, square_avg);
    }
  };

  struct Centered : KeepsVariance {
    static constexpr std::array kStates{"square_avg", "grad_avg"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& grad_avg) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return k.lr * normalized(k, g, centered_variance(k, g, square_avg, grad_avg));
    }
  };

  struct Momentum {
    static constexpr std::array kStates{"square_avg", "momentum_buffer"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& buf) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return accumulate(k, normalized(k, g, square_avg), buf);
    }
  };

  struct CenteredMomentum {
    static ONEPASS_LANE void compress(float& square_avg, float& grad_avg, float& /*buf*/) {
      KeepsVariance::compress(square_avg, grad_avg);
    }
    static ONEPASS_LANE void expand(float& square_avg, float& grad_avg, float& /*buf*/) {
      KeepsVariance::expand(square_avg, grad_avg);
    }
    static constexpr std::array kStates{"square_avg", "grad_avg", "momentum_buffer"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& grad_avg, float& buf) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return accumulate(k, normalized(k, g, centered_variance(k, g, square_avg, grad_avg)), buf);
    }
  };

  using Variants = VariantList<Plain, Centered, Momentum, CenteredMomentum>;
  [[nodiscard]] unsigned variant() const { return (centered ? 1u : 0u) | (momentum != 0.0 ? 2u : 0u); }

  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    const bool inside = epsilon == Epsilon::inside_root;
    return {.lr = static_cast<float>(lr),
            .one_minus_alpha = static_cast<float>(1.0 - alpha),
            .momentum = static_cast<float>(momentum),
            .eps_inside = inside ? static_cast<float>(eps) : 0.0f,
            .eps_outside = inside ? 0.0f : static_cast<float>(eps),
            .centered = centered ? 1u : 0u,
            .accumulates = momentum != 0.0 ? 1u : 0u};
  }

  void check() const {
    rule::check_shared(*this);
    rule::require_unit_interval({kName, "alpha"}, alpha);
    rule::require_eps({kName, "eps"}, eps);
    rule::require_nonnegative({kName, "momentum"}, momentum);
  }
};

}  // namespace onepass
