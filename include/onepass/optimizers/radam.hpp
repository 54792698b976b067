// radam.hpp - RAdam: Adam whose first steps are rectified.
#pragma once

#include "onepass/optimizers/nadamw.hpp"

namespace onepass {

/// RAdam, elementwise: Adam without a denominator while the average of squares has seen too few gradients,
/// and then with a step that grows to Adam's. t is the parameter's own step number, starting at 1.
///
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     m_hat   = exp_avg / (1 - beta1^t)
///     rho_inf = 2 / (1 - beta2) - 1
///     rho     = rho_inf - 2 t beta2^t / (1 - beta2^t)
///     r       = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
///     p = p - lr * m_hat                                                          rho <= 5
///     p = p - lr * r * m_hat * sqrt(1 - beta2^t) / (sqrt(exp_avg_sq) + eps)       rho > 5
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. With beta2 = 0.999,
/// step 6 is the first rectified one. With a beta2 of 2/3 or less, none is.
///
/// Source: Liu et al. 2020, arXiv 1908.03265, algorithm 2, in the form of torch.optim.RAdam: the threshold is
/// 5, where the paper has 4, and eps is added to the root before the bias correction. Deviations from
/// PyTorch: none.
///
/// Use: training without a warm-up.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later. Steps without a denominator do not read
/// it.
///
/// describe() has units and ranges of the hyperparameters.
struct RAdam {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool maximize = false;

  static constexpr const char* kName = "RAdam";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &RAdam::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &RAdam::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &RAdam::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &RAdam::eps, rule::kEps,
         "Gradient units, outside the root. With 0, gradients of 0 give 0 / 0 = NaN.");
  }

  using Coefficients = NAdamW::Coefficients;
  using Variants = NAdamW::Variants;
  using Loops = NAdamW;  ///< Only prepare() differs.
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// The length of a simple average with the variance of an exponential one: after t steps, and in the end.
  struct Length {
    double now, longest;

    /// Returns r of the formula above. The length must be above 4.
    [[nodiscard]] ONEPASS_LANE double rectification() const {
      return lane::sqrt((now - 4.0) * (now - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * now));
    }
  };

  /// Returns rho and rho_inf of the formula above.
  static ONEPASS_LANE Length length(double beta2, std::int64_t step) {
    const double kept = lane::power(beta2, step);
    const double longest = 2.0 / (1.0 - beta2) - 1.0;
    return {longest - 2.0 * static_cast<double>(step) * kept / (1.0 - kept), longest};
  }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const Length rho = length(beta2, step);
    const bool rectifies = rho.now > 5.0;
    const double root = lane::sqrt(1.0 - lane::power(beta2, step));
    const double bias_correction1 = 1.0 - lane::power(beta1, step);
    const double rate = rectifies ? lr * rho.rectification() * root : lr;
    return {.step_size = static_cast<float>(rate / bias_correction1),
            .of_average = 1.0f,
            .of_gradient = 0.0f,
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = 1.0f,
            .eps = static_cast<float>(eps),
            .looks_ahead = 0u,
            .adapts = rectifies ? 1u : 0u};
  }
};

}  // namespace onepass
