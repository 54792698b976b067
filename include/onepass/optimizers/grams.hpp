// grams.hpp - Grams: steps of Adam's size in the direction of the gradient.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Grams, elementwise: Adam's moments give the size of a step, and the gradient gives its sign. t is the
/// parameter's own step number, starting at 1.
///
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     m_hat = exp_avg / (1 - beta1^t)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - (lr * weight_decay * p + lr * sign(g) * |m_hat| / (sqrt(v_hat) + eps))
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. sign(0) is 0, so an
/// element whose gradient is 0 only decays.
///
/// Source: Cao, Li, and Song 2024, arXiv 2412.17107, algorithm 1. Deviations from the authors' code: eps is
/// added to the corrected root, as in the paper, and not to the uncorrected one. The default eps is that of
/// the code.
///
/// Use: as Adam, where the sign of the last gradient should decide the direction.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p; a state that is NaN reaches p also where the
/// gradient is 0. The square of a gradient beyond 1.8e19 overflows float32: exp_avg_sq becomes Inf, and NaN
/// one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct Grams {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Grams";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Grams::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Grams::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Grams::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &Grams::eps, rule::kEps,
         "Gradient units, outside the root. With 0, gradients of 0 give 0 / 0 = NaN.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;  ///< lr / (1 - beta1^t)
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      const float root = lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps);
      // The sign is a factor, so that NaN in a state survives a gradient of 0.
      return k.step_size * (lane::abs(exp_avg) / root) * lane::with_sign_of(g, 1.0f);
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
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace onepass
