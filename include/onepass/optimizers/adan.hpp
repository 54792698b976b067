// adan.hpp - Adan: Nesterov momentum that is estimated from differences of gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adan, elementwise. t is the parameter's own step number, starting at 1.
///
///     d = g - (g of the parameter's last step)                   0 on its first step
///     exp_avg      = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_diff = beta2 * exp_avg_diff + (1 - beta2) * d
///     exp_avg_sq   = beta3 * exp_avg_sq + (1 - beta3) * (g + beta2 * d)^2
///     m_hat = exp_avg / (1 - beta1^t)
///     d_hat = exp_avg_diff / (1 - beta2^t)
///     n_hat = exp_avg_sq / (1 - beta3^t)
///     p = (p - lr * (m_hat + beta2 * d_hat) / (sqrt(n_hat) + eps)) / (1 + lr * weight_decay)
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around, which also divides by
/// 1 + lr * weight_decay (WeightDecay::proximal). The state neg_pre_grad is -g of the last step.
///
/// Source: Xie et al. 2022, arXiv 2208.06677, algorithm 1, in the form of the authors' code (sail-sg/Adan),
/// whose betas are one minus those of the paper; WeightDecay::decoupled is its no_prox. Deviations: the rule
/// does not clip, because an optimizer does (max_grad_norm of the authors' code), and does not restart.
///
/// Use: vision transformers and GANs, at the price of four states.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored, and neg_pre_grad has float32 in every format,
/// because a difference of rounded gradients would be mostly rounding.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a g + beta2 * d beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct Adan {
  double lr = 1e-3;
  double beta1 = 0.98;
  double beta2 = 0.92;
  double beta3 = 0.99;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::proximal;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Adan";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Adan::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Adan::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Adan::beta2, rule::kUnitInterval,
         "Share of exp_avg_diff kept per step, and weight of the differences.");
    list("beta3", &Adan::beta3, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &Adan::eps, rule::kEps,
         "Gradient units, outside the root. With 0, gradients of 0 give 0 / 0 = NaN.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr;
    float of_average, of_difference;  ///< 1 / (1 - beta1^t) and beta2 / (1 - beta2^t)
    float one_minus_beta1, one_minus_beta2, one_minus_beta3;
    float beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta3^t)
    float eps;
    lane::Flag starts;  ///< The first step, on which neg_pre_grad is not read.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad"};
    static constexpr std::array<const char*, 4> kDecays{"beta1", "beta2", "beta3", nullptr};
    static constexpr unsigned kNonnegative = 0b0100;
    static constexpr unsigned kFloat32 = 0b1000;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_diff, float& exp_avg_sq, float& neg_pre_grad) {
      const float difference = lane::select(k.starts, 0.0f, g + neg_pre_grad);
      const float ahead = lane::fma(k.beta2, difference, g);
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_diff = lane::lerp(exp_avg_diff, difference, k.one_minus_beta2);
      exp_avg_sq = lane::lerp(exp_avg_sq, ahead * ahead, k.one_minus_beta3);
      neg_pre_grad = -g;
      const float both = lane::fma(k.of_difference, exp_avg_diff, k.of_average * exp_avg);
      return k.lr * (both / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps));
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.lr = static_cast<float>(lr),
            .of_average = static_cast<float>(1.0 / (1.0 - lane::power(beta1, step))),
            .of_difference = static_cast<float>(beta2 / (1.0 - lane::power(beta2, step))),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .one_minus_beta3 = static_cast<float>(1.0 - beta3),
            .beta2 = static_cast<float>(beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(1.0 - lane::power(beta3, step))),
            .eps = static_cast<float>(eps),
            .starts = step == 1 ? 1u : 0u};
  }
};

}  // namespace onepass
