// rmsprop.hpp - RMSProp; centered and with momentum as options.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Position of RMSProp's eps.
enum class Epsilon : unsigned {
  inside_root,   ///< lr / sqrt(E[g^2] + eps) * g
  outside_root,  ///< lr / (sqrt(E[g^2]) + eps) * g, as torch.optim.RMSprop
};

template <>
inline constexpr const char* rule::kChoices<Epsilon>[] = {"inside_root", "outside_root"};

/// RMSProp, elementwise.
///
///     square_avg = alpha * square_avg + (1 - alpha) * g^2
///     grad_avg   = alpha * grad_avg + (1 - alpha) * g            centered
///     variance   = square_avg, or max(square_avg - grad_avg^2, 0) if centered
///     x          = g / sqrt(variance + eps), or g / (sqrt(variance) + eps)
///     p          = p - lr * x                                    momentum = 0
///     buf        = momentum * buf + x;  p = p - lr * buf         momentum > 0
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. buf is the state
/// momentum_buffer.
///
/// Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv 1308.0850, eq. 38-45.
/// Deviations from PyTorch: the centered variance is clamped at zero, because rounding could make it negative
/// and its root NaN; eps is inside the root by default; on a step whose momentum is 0, among others with
/// momentum, buf = x, where PyTorch leaves buf alone.
///
/// Use: recurrent networks and reinforcement learning, in recipes that ask for it.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: square_avg becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct RMSProp {
  double lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double momentum = 0.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  Epsilon epsilon = Epsilon::inside_root;
  bool centered = false;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "RMSProp";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &RMSProp::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("alpha", &RMSProp::alpha, rule::kUnitInterval, "Share of the averages kept per step.");
    list("eps", &RMSProp::eps, rule::kEps, "Squared gradient units inside the root, gradient units outside.");
    list("momentum", &RMSProp::momentum, rule::kNonnegative, "Share of buf kept per step.");
    list("epsilon", &RMSProp::epsilon, "Position of eps: inside the root, or outside as in PyTorch.");
    list("centered", &RMSProp::centered, "Divides by the standard deviation, not the root mean square.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_alpha, momentum;
    float eps_inside, eps_outside;  ///< One of them is 0, and adding it changes nothing.
    lane::Flag accumulates;         ///< momentum is not 0. Without it buf is not read: 0 * Inf would be NaN.
  };

  /// Returns x of the formula above.
  static ONEPASS_LANE float normalized(const Coefficients& k, float g, float variance) {
    return g / (lane::sqrt(variance + k.eps_inside) + k.eps_outside);
  }

  /// Updates grad_avg and returns the variance of the formula above.
  static ONEPASS_LANE float centered_variance(const Coefficients& k, float g, float square_avg,
                                              float& grad_avg) {
    grad_avg = lane::lerp(grad_avg, g, k.one_minus_alpha);
    return lane::max(lane::fma(-grad_avg, grad_avg, square_avg), 0.0f);
  }

  /// Updates buf with x and returns the update of the parameter.
  static ONEPASS_LANE float accumulate(const Coefficients& k, float x, float& buf) {
    buf = lane::select(k.accumulates, lane::fma(k.momentum, buf, x), x);
    return k.lr * buf;
  }

  /// Formats with less than 32 bits store the variance in place of square_avg. The difference of two numbers
  /// rounded so coarsely would often be 0 where the variance is not, and the update would be lr * g / eps.
  struct KeepsVariance {
    static ONEPASS_LANE void compress(float& square_avg, float& grad_avg) {
      square_avg = lane::max(lane::fma(-grad_avg, grad_avg, square_avg), 0.0f);
    }
    static ONEPASS_LANE void expand(float& square_avg, float& grad_avg) {
      square_avg = lane::fma(grad_avg, grad_avg, square_avg);
    }
  };

  /// The variant with neither centering nor momentum.
  struct Plain {
    static constexpr std::array kStates{"square_avg"};
    static constexpr std::array kDecays{"alpha"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return k.lr * normalized(k, g, square_avg);
    }
  };

  /// The centered variant.
  struct Centered : KeepsVariance {
    static constexpr std::array kStates{"square_avg", "grad_avg"};
    static constexpr std::array kDecays{"alpha", "alpha"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& grad_avg) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return k.lr * normalized(k, g, centered_variance(k, g, square_avg, grad_avg));
    }
  };

  /// The variant with momentum.
  struct Momentum {
    static constexpr std::array kStates{"square_avg", "momentum_buffer"};
    static constexpr std::array kDecays{"alpha", "momentum"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& buf) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return accumulate(k, normalized(k, g, square_avg), buf);
    }
  };

  /// The variant with both.
  struct CenteredMomentum {
    static ONEPASS_LANE void compress(float& square_avg, float& grad_avg, float& /*buf*/) {
      KeepsVariance::compress(square_avg, grad_avg);
    }
    static ONEPASS_LANE void expand(float& square_avg, float& grad_avg, float& /*buf*/) {
      KeepsVariance::expand(square_avg, grad_avg);
    }
    static constexpr std::array kStates{"square_avg", "grad_avg", "momentum_buffer"};
    static constexpr std::array kDecays{"alpha", "alpha", "momentum"};
    static constexpr unsigned kNonnegative = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& grad_avg, float& buf) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_alpha);
      return accumulate(k, normalized(k, g, centered_variance(k, g, square_avg, grad_avg)), buf);
    }
  };

  using Variants = VariantList<Plain, Centered, Momentum, CenteredMomentum>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return (centered ? 1u : 0u) | (momentum != 0.0 ? 2u : 0u); }
  static constexpr unsigned kSwitchable = 2;  ///< momentum may become 0.

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    const bool inside = epsilon == Epsilon::inside_root;
    return {.lr = static_cast<float>(lr),
            .one_minus_alpha = static_cast<float>(1.0 - alpha),
            .momentum = static_cast<float>(momentum),
            .eps_inside = inside ? static_cast<float>(eps) : 0.0f,
            .eps_outside = inside ? 0.0f : static_cast<float>(eps),
            .accumulates = momentum != 0.0 ? 1u : 0u};
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("torch", torch(), "torch.optim.RMSprop adds eps outside the root.");
    list("keras", keras(),
         "RMSprop of Keras and TensorFlow has other defaults and decouples the weight decay. With "
         "momentum it agrees while the learning rate stays the same, because its buffer holds "
         "whole steps.");
    list("optax", optax(),
         "optax.rmsprop has a shorter average. With momentum it agrees while the learning rate "
         "stays the same, because its buffer holds whole steps.");
  }
  /// torch.optim.RMSprop. Source: torch 2.15.0.
  static constexpr RMSProp torch() { return {.epsilon = Epsilon::outside_root}; }
  /// keras.optimizers.RMSprop, also of TensorFlow 2. Source: keras 3.15.1.
  static constexpr RMSProp keras() {
    return {.lr = 1e-3, .alpha = 0.9, .eps = 1e-7, .weight_decay_mode = WeightDecay::decoupled};
  }
  /// optax.rmsprop. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr RMSProp optax() { return {.alpha = 0.9}; }
};

}  // namespace onepass
