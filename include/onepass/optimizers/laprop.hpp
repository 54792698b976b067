// laprop.hpp - LaProp: momentum of normalised gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// LaProp, elementwise: Adam's two averages in the other order. It divides the gradient by the root of the
/// second moment first, and averages the quotients. t is the parameter's own step number, starting at 1.
///
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     v_hat      = exp_avg_sq / (1 - beta2^t)
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * lr * g / (sqrt(v_hat) + eps)
///     lr_avg     = beta1 * lr_avg + (1 - beta1) * lr
///     p          = p - lr / lr_avg * exp_avg
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. The average holds the
/// learning rate, so a changed one acts on new gradients alone; lr_avg is the scalar exp_avg_lr_1, and
/// corrects the average's start at 0. With a constant lr, lr / lr_avg is 1 / (1 - beta1^t).
///
/// Source: Ziyin, Wang and Ueda 2020, arXiv 2002.04839, algorithm 1, in the form of its authors' code: the lr
/// is inside the average. The decay acts after the step by default, as there. Deviations: none.
///
/// Use: noisy gradients of changing size, such as in reinforcement learning.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct LaProp {
  double lr = 4e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-15;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::after;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool maximize = false;

  static constexpr const char* kName = "LaProp";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &LaProp::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &LaProp::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &LaProp::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &LaProp::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
  }

  /// The average of the learning rates.
  struct Scalars {
    double exp_avg_lr_1;
  };
  static constexpr std::array kScalars{"exp_avg_lr_1"};

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr;
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
    float correction;  ///< lr / lr_avg
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<0> | rule::kState<1>;
    static ONEPASS_LANE float heading(const Coefficients& k, float p, float g, float exp_avg,
                                      float exp_avg_sq) {
      return update(k, p, g, exp_avg, exp_avg_sq);  // of copies
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      const float normalized = g / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps);
      exp_avg = lane::lerp(exp_avg, k.lr * normalized, k.one_minus_beta1);
      return k.correction * exp_avg;
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once. If lr is 0, there
  /// is nothing to correct by, and the average moves p as it is.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& carried) const {
    carried.exp_avg_lr_1 = beta1 * carried.exp_avg_lr_1 + (1.0 - beta1) * lr;
    const double bias_correction2 = 1.0 - lane::power(beta2, step);
    return {.lr = static_cast<float>(lr),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps),
            .correction = static_cast<float>(lr == 0.0 ? 1.0 : lr / carried.exp_avg_lr_1)};
  }
};

}  // namespace onepass
