// ademamix.hpp - AdEMAMix: AdamW with a second, slow average of the gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/math.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass {

/// AdEMAMix, elementwise. t is the parameter's own step number, starting at 1.
///
///     exp_avg_fast = beta1 * exp_avg_fast + (1 - beta1) * g
///     exp_avg_slow = beta3_t * exp_avg_slow + (1 - beta3_t) * g
///     exp_avg_sq   = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     m_hat = exp_avg_fast / (1 - beta1^t)                       the slow average has no correction
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - (lr * weight_decay * p + lr * (m_hat + alpha_t * exp_avg_slow) / (sqrt(v_hat) + eps))
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. Both schedules end
/// after their own number of steps, and then, or with 0 steps, alpha_t = alpha and beta3_t = beta3:
///
///     alpha_t       = alpha * t / alpha_warmup
///     1 / ln beta3_t = (1 - u) / ln beta1 + u / ln beta3,  u = t / beta3_warmup
///
/// So the half-life of the slow average grows linearly from that of the fast one. With a beta1 of 0,
/// exp_avg_fast is g, and the rule keeps no state for it.
///
/// Source: Pagliardini et al. 2024, arXiv 2409.03137, algorithm 1 and its schedulers. Deviations from the
/// authors' code: they add 1e-8 to the betas before they take logarithms, which changes beta3_t by less than
/// 1e-8; their default alpha is 2, and here it is that of the paper's runs.
///
/// Use: long runs of language models; the slow average uses gradients of 10,000 steps.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored, and exp_avg_slow has float32 in every format,
/// because a step moves it by less than a bfloat16 resolves.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct AdEMAMix {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double beta3 = 0.9999;
  double alpha = 5.0;
  double alpha_warmup = 0.0;
  double beta3_warmup = 0.0;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "AdEMAMix";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &AdEMAMix::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &AdEMAMix::beta1, rule::kUnitInterval, "Share of exp_avg_fast kept per step.");
    list("beta2", &AdEMAMix::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("beta3", &AdEMAMix::beta3, rule::kUnitInterval,
         "Share of exp_avg_slow kept per step, after its warmup.");
    list("alpha", &AdEMAMix::alpha, rule::kNonnegative,
         "Weight of exp_avg_slow in the step, after its warmup.");
    list("alpha_warmup", &AdEMAMix::alpha_warmup, rule::kNonnegative,
         "Steps in which alpha grows from 0; 0 for none.");
    list("beta3_warmup", &AdEMAMix::beta3_warmup, rule::kNonnegative,
         "Steps in which beta3 grows from beta1; 0 for none.");
    list("eps", &AdEMAMix::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr;
    float of_fast, of_slow;  ///< 1 / (1 - beta1^t) and alpha_t: weights of the averages in the numerator.
    float one_minus_beta1, one_minus_beta2, one_minus_beta3;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
  };

  /// Returns the update of a parameter, and moves the two averages that every variant has.
  static ONEPASS_LANE float mix(const Coefficients& k, float g, float exp_avg_fast, float& exp_avg_slow,
                                float& exp_avg_sq) {
    exp_avg_slow = lane::lerp(exp_avg_slow, g, k.one_minus_beta3);
    exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
    const float both = lane::fma(k.of_slow, exp_avg_slow, k.of_fast * exp_avg_fast);
    return k.lr * (both / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps));
  }

  /// The variant with a beta1 of 0.
  struct Slow {
    static constexpr std::array kStates{"exp_avg_slow", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta3", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kFloat32 = 0b01;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg_slow,
                                     float& exp_avg_sq) {
      return mix(k, g, g, exp_avg_slow, exp_avg_sq);
    }
  };

  /// The variant with both averages of the gradient.
  struct FastAndSlow {
    static constexpr std::array kStates{"exp_avg_fast", "exp_avg_slow", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta3", "beta2"};
    static constexpr unsigned kNonnegative = 0b100;
    static constexpr unsigned kFloat32 = 0b010;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg_fast,
                                     float& exp_avg_slow, float& exp_avg_sq) {
      exp_avg_fast = lane::lerp(exp_avg_fast, g, k.one_minus_beta1);
      return mix(k, g, exp_avg_fast, exp_avg_slow, exp_avg_sq);
    }
  };

  using Variants = VariantList<Slow, FastAndSlow>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return beta1 != 0.0 ? 1u : 0u; }
  static constexpr unsigned kSwitchable = 1;  ///< beta1 may become 0.

  /// Returns 1 - e^x for x <= 0. Near 0 it sums the series, because the difference would lose digits.
  static ONEPASS_LANE double one_minus_exp(double x) {
    if (x < -0.0625) return 1.0 - lane::exp(x);
    return -x * lane::series::horner(x, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040,
                                     1.0 / 40320, 1.0 / 362880);
  }

  /// Returns 1 - beta3_t. The inverse logarithm of a beta of 0 is 0.
  [[nodiscard]] ONEPASS_LANE double one_minus_beta3_at(double t) const {
    if (t >= beta3_warmup) return 1.0 - beta3;
    const double done = t / beta3_warmup;
    return one_minus_exp(1.0 / ((1.0 - done) / lane::log(beta1) + done / lane::log(beta3)));
  }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const auto t = static_cast<double>(step);
    return {.lr = static_cast<float>(lr),
            .of_fast = static_cast<float>(1.0 / (1.0 - lane::power(beta1, step))),
            .of_slow = static_cast<float>(t < alpha_warmup ? alpha * (t / alpha_warmup) : alpha),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .one_minus_beta3 = static_cast<float>(one_minus_beta3_at(t)),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(1.0 - lane::power(beta2, step))),
            .eps = static_cast<float>(eps)};
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("apple", apple(), "The authors' code has an alpha of 2, where their runs have 5.");
    list("bitsandbytes", bitsandbytes(),
         "AdEMAMix of bitsandbytes has a weight decay and shrinks the moved parameter by it, in "
         "the kernels for CUDA. alpha_warmup is its t_alpha, and beta3_warmup its t_beta3.");
  }
  /// The authors' AdEMAMix. Source: apple/ml-ademamix c3d73c0, pytorch/ademamix.py.
  static constexpr AdEMAMix apple() { return {.alpha = 2.0}; }
  /// bitsandbytes.optim.AdEMAMix. Source: bitsandbytes 95f9af3, csrc/kernels.cu, kOptimizer32bit2State; its
  /// other backends decay the old parameter.
  static constexpr AdEMAMix bitsandbytes() {
    return {.weight_decay = 1e-2, .weight_decay_mode = WeightDecay::after};
  }
};

}  // namespace onepass
