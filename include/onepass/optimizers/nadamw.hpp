// nadamw.hpp - NAdamW: AdamW with Nesterov momentum.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// NAdamW, elementwise. t is the parameter's own step number, starting at 1.
///
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     ahead = beta1 * exp_avg + (1 - beta1) * g                  exp_avg is not changed by this line
///     m_hat = ahead / (1 - beta1^t)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - (lr * weight_decay * p + lr / (sqrt(v_hat) + eps) * m_hat)
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around.
///
/// Source: Dozat 2016, "Incorporating Nesterov Momentum into Adam", in the form of timm.optim.NAdamW and of
/// the AlgoPerf benchmark (Dahl et al. 2023, arXiv 2306.07179); the decay is that of AdamW. Deviations from
/// timm: none. Deviations from Dozat: the momentum is the same in all steps, and both parts of `ahead` have
/// the bias correction of this step.
///
/// Use: as AdamW, at the same bytes; it often needs fewer steps for the same loss.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct NAdamW {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool maximize = false;

  static constexpr const char* kName = "NAdamW";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &NAdamW::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &NAdamW::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &NAdamW::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &NAdamW::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
  }

  /// The coefficients of one step, of this rule and of those that share its loops; see prepare().
  struct Coefficients {
    float step_size;
    float of_average, of_gradient;  ///< Weights of exp_avg and of g in the numerator.
    float one_minus_beta1, one_minus_beta2;
    float inverse_root, eps;  ///< The root of exp_avg_sq is multiplied by the one and the other is added.
    lane::Flag looks_ahead;   ///< Off: the numerator is exp_avg, and g is not read: 0 * Inf would be NaN.
    lane::Flag adapts;        ///< Off: the denominator is 1, whatever exp_avg_sq is.
  };

  /// The only variant:
  ///
  ///     step_size * (of_average * exp_avg + of_gradient * g) / (sqrt(exp_avg_sq) * inverse_root + eps)
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<0>;
    /// Returns the numerator, given exp_avg after this step.
    static ONEPASS_LANE float numerator(const Coefficients& k, float g, float exp_avg) {
      const float ahead = lane::fma(k.of_gradient, g, k.of_average * exp_avg);
      return lane::select(k.looks_ahead, ahead, exp_avg);
    }
    static ONEPASS_LANE float heading(const Coefficients& k, float /*p*/, float g, float exp_avg,
                                      float /*exp_avg_sq*/) {
      return numerator(k, g, lane::lerp(exp_avg, g, k.one_minus_beta1));
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      const float root = lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps);
      return k.step_size * (numerator(k, g, exp_avg) / lane::select(k.adapts, root, 1.0f));
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double bias_correction1 = 1.0 - lane::power(beta1, step);
    const double bias_correction2 = 1.0 - lane::power(beta2, step);
    return {.step_size = static_cast<float>(lr / bias_correction1),
            .of_average = static_cast<float>(beta1),
            .of_gradient = static_cast<float>(1.0 - beta1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps),
            .looks_ahead = 1u,
            .adapts = 1u};
  }
};

}  // namespace onepass
