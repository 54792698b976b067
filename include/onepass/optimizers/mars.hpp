// mars.hpp - MARS: AdamW on gradients whose variance is reduced by those of the last step.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// MARS. t is the parameter's own step number, starting at 1.
///
///     d = g - last_grad                                          0 on the first step
///     c = g + gamma * beta1 / (1 - beta1) * d
///     c = c / max(1, ||c||)
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * c
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * c^2
///     m_hat = exp_avg / (1 - beta1^t)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - (lr * weight_decay * p + lr * m_hat / (sqrt(v_hat) + eps))
///     last_grad = g
///
/// The norm is Euclidean, over the tensor. g is the gradient after sign (maximize) and coupled weight decay;
/// see rule::Around. With a gamma of 0 this is AdamW on gradients whose norm is at most 1.
///
/// Source: Yuan et al. 2024, arXiv 2411.10438, algorithm 2 with the approximate difference and AdamW's
/// preconditioner (MARS-AdamW). Deviations: the first step has no difference, as in timm; the authors' code
/// subtracts a last_grad of 0, which makes c larger. beta1 is timm's 0.9, and the authors' is 0.95. The
/// authors step vectors by AdamW: give biases and norms a group of their own, with AdamW as its rule.
///
/// Use: language models, at the price of a third state, where AdamW takes too many steps.
///
/// Shapes: p, g and the states have equal numel, and the norm runs over all of it. The arithmetic is in
/// float32, that of the norm is exact (rule/sums.hpp); Storage says how p and the states are stored, and
/// last_grad has float32 in every format, because a difference of rounded gradients would be mostly rounding.
/// A step passes over g and last_grad twice.
///
/// NaN in a gradient propagates into its element; the norm is NaN then, and c is not scaled. An infinite
/// gradient makes its element NaN and every other c of the step 0; those of the next step too, whose
/// last_grad it is.
///
/// describe() has units and ranges of the hyperparameters.
struct MARS {
  double lr = 3e-3;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double eps = 1e-8;
  double gamma = 0.025;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "MARS";
  static constexpr int kSums = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &MARS::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &MARS::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &MARS::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &MARS::eps, rule::kEps,
         "Units of c, outside the root. With 0, gradients of 0 give 0 / 0 = NaN.");
    list("gamma", &MARS::gamma, rule::kNonnegative,
         "Share of the variance reduction; 1 is the whole, 0 none.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float step_size;      ///< lr / (1 - beta1^t)
    float of_difference;  ///< gamma * beta1 / (1 - beta1)
    float inverse_norm;   ///< 1 / max(1, ||c||)
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
    lane::Flag starts;  ///< The first step, on which last_grad is not read.
  };

  /// Returns c before it is scaled.
  static ONEPASS_LANE float corrected(const Coefficients& k, float g, float last_grad) {
    return lane::fma(k.of_difference, lane::select(k.starts, 0.0f, g - last_grad), g);
  }

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq", "last_grad"};
    static constexpr std::array<const char*, 3> kDecays{"beta1", "beta2", nullptr};
    static constexpr unsigned kNonnegative = 0b010;
    static constexpr unsigned kFloat32 = 0b100;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<2>;
    static ONEPASS_LANE void measure(const Coefficients& k, float /*p*/, float g, float /*exp_avg*/,
                                     float /*exp_avg_sq*/, float last_grad, float (&terms)[kSums]) {
      terms[0] = corrected(k, g, last_grad);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq, float& last_grad) {
      const float c = k.inverse_norm * corrected(k, g, last_grad);
      exp_avg = lane::lerp(exp_avg, c, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, c * c, k.one_minus_beta2);
      last_grad = g;
      return k.step_size * (exp_avg / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps));
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.step_size = static_cast<float>(lr / (1.0 - lane::power(beta1, step))),
            .of_difference = static_cast<float>(gamma * beta1 / (1.0 - beta1)),
            .inverse_norm = 1.0f,
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(1.0 - lane::power(beta2, step))),
            .eps = static_cast<float>(eps),
            .starts = step == 1 ? 1u : 0u};
  }

  /// Computes the scale of c, given its squares.
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Coefficients& k) const {
    const double norm = sums.norm(0);
    if (norm > 1.0) k.inverse_norm = static_cast<float>(1.0 / norm);
  }
};

}  // namespace onepass
