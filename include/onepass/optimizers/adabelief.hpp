// adabelief.hpp - AdaBelief: Adam that divides by how far gradients lie from their average.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/optimizers/radam.hpp"

namespace onepass {

/// AdaBelief, elementwise. t is the parameter's own step number, starting at 1.
///
///     exp_avg     = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_var = beta2 * exp_avg_var + (1 - beta2) * (g - exp_avg)^2 + eps
///     m_hat = exp_avg / (1 - beta1^t)
///     s_hat = exp_avg_var / (1 - beta2^t)
///     p = p - lr / (sqrt(s_hat) + eps) * m_hat
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. The new exp_avg is in
/// the square, and the state keeps the eps of every step.
///
/// With `rectify`, the last line is RAdam's, whose rho and r depend on beta2 and t:
///
///     p = p - lr * m_hat                                                          rho < 5
///     p = p - lr * r * m_hat * sqrt(1 - beta2^t) / (sqrt(exp_avg_var) + eps)      rho >= 5
///
/// Source: Zhuang et al. 2020, arXiv 2010.07468, algorithm 1, which has eps in the state and in the
/// denominator; rectify: the authors' package, adabelief-pytorch 0.2.1, with degenerated_to_sgd. Deviations:
/// rectify is off by default, as in the paper.
///
/// Use: as Adam, where the variance of gradients is far below their mean square.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p: an Inf makes g - exp_avg NaN. The square of a
/// g - exp_avg beyond 1.8e19 overflows float32: exp_avg_var becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters; eps / (1 - beta2), which exp_avg_var reaches where
/// every gradient is 0, must be finite.
struct AdaBelief {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-16;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool rectify = false;
  bool maximize = false;

  static constexpr const char* kName = "AdaBelief";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &AdaBelief::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &AdaBelief::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &AdaBelief::beta2, rule::kUnitInterval, "Share of exp_avg_var kept per step.");
    list("eps", &AdaBelief::eps, rule::kEps,
         "Squared gradient units in exp_avg_var, gradient units beside its root. With 0, gradients of 0 give "
         "0 / 0 = NaN.");
    list("rectify", &AdaBelief::rectify, "Rectifies the first steps as RAdam does.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;
    float one_minus_beta1, one_minus_beta2;
    float inverse_root, eps;
    lane::Flag adapts;  ///< Off: the denominator is 1, whatever exp_avg_var is.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_var"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_var) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      const float surprise = g - exp_avg;
      exp_avg_var = lane::lerp(exp_avg_var, surprise * surprise, k.one_minus_beta2) + k.eps;
      const float root = lane::fma(lane::sqrt(exp_avg_var), k.inverse_root, k.eps);
      return k.step_size * (exp_avg / lane::select(k.adapts, root, 1.0f));
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double bias_correction1 = 1.0 - lane::power(beta1, step);
    const double root = lane::sqrt(1.0 - lane::power(beta2, step));
    const RAdam::Length rho = RAdam::length(beta2, step);
    const bool adapts = !rectify || rho.now >= 5.0;
    const double rate = rectify && adapts ? lr * rho.rectification() * root : lr;
    return {.step_size = static_cast<float>(rate / bias_correction1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = rectify ? 1.0f : static_cast<float>(1.0 / root),
            .eps = static_cast<float>(eps),
            .adapts = adapts ? 1u : 0u};
  }

  /// Throws InvalidArgument if the eps of all steps, eps / (1 - beta2) in the end, would overflow
  /// exp_avg_var.
  void check() const {
    if (eps > (1.0 - beta2) * 0x1p127) {
      rule::fail(kName, "eps must be at most (1 - beta2) * 1.7e38, because exp_avg_var adds it up");
    }
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("authors", authors(),
         "The authors' adabelief-pytorch rectifies by default, and so does timm's AdaBelief.");
  }
  /// adabelief_pytorch.AdaBelief and timm.optim.AdaBelief. Source: adabelief-pytorch 0.2.1.
  static constexpr AdaBelief authors() { return {.rectify = true}; }
};

}  // namespace onepass
