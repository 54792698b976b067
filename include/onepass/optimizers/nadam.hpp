// nadam.hpp - NAdam: Adam with Nesterov momentum that rises.
#pragma once

#include "onepass/arithmetic/math.hpp"
#include "onepass/optimizers/nadamw.hpp"

namespace onepass {

/// NAdam, elementwise. t is the parameter's own step number, starting at 1.
///
///     mu_t       = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
///     mu_product = mu_product * mu_t                             from 1 on
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     m_hat = mu_(t+1) * exp_avg / (1 - mu_product * mu_(t+1)) + (1 - mu_t) * g / (1 - mu_product)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - lr / (sqrt(v_hat) + eps) * m_hat
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. mu_product is a
/// scalar.
///
/// Source: Dozat 2016, "Incorporating Nesterov Momentum into Adam", in the form of torch.optim.NAdam.
/// Deviations from PyTorch: none. Where mu stays beta1, as in optax.nadam, use a momentum_decay of 1e4;
/// NAdamW corrects both parts by the same power.
///
/// Use: recipes written for PyTorch's NAdam; else NAdamW.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct NAdam {
  double lr = 2e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double momentum_decay = 4e-3;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool maximize = false;

  static constexpr const char* kName = "NAdam";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &NAdam::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &NAdam::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &NAdam::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &NAdam::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    list("momentum_decay", &NAdam::momentum_decay, rule::kNonnegative,
         "How fast the momentum rises from half of beta1: 0 keeps it there.");
  }

  /// The product of all momenta.
  struct Scalars {
    double mu_product;
  };
  static constexpr std::array kScalars{"mu_product"};

  using Coefficients = NAdamW::Coefficients;
  using Variants = NAdamW::Variants;
  using Loops = NAdamW;  ///< Only prepare() differs.
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Returns mu_t of the formula above.
  [[nodiscard]] ONEPASS_LANE double momentum(std::int64_t step) const {
    return beta1 * (1.0 - 0.5 * lane::pow(0.96, static_cast<double>(step) * momentum_decay));
  }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& carried) const {
    const double mu = momentum(step), next = momentum(step + 1);
    carried.mu_product = (step == 1 ? 1.0 : carried.mu_product) * mu;
    const double bias_correction2 = 1.0 - lane::power(beta2, step);
    return {.step_size = static_cast<float>(lr),
            .of_average = static_cast<float>(next / (1.0 - carried.mu_product * next)),
            .of_gradient = static_cast<float>((1.0 - mu) / (1.0 - carried.mu_product)),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps),
            .looks_ahead = 1u,
            .adapts = 1u};
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("keras", keras(),
         "Nadam of Keras and TensorFlow raises the momentum 250 times as fast, and decouples the "
         "weight decay.");
    list("optax", optax(),
         "optax.nadam and optax.nadamw keep the momentum at beta1; nadamw has a weight decay of "
         "1e-4.");
  }
  /// keras.optimizers.Nadam, also of TensorFlow 2. Source: keras 3.15.1.
  static constexpr NAdam keras() {
    return {.lr = 1e-3, .eps = 1e-7, .momentum_decay = 1.0, .weight_decay_mode = WeightDecay::decoupled};
  }
  /// optax.nadam; optax.nadamw with its weight decay. Source: optax 0.2.8. 0.96^10000 is 0 beside 1, so that
  /// mu is beta1 from the first step on.
  static constexpr NAdam optax() {
    return {.momentum_decay = 1e4, .weight_decay_mode = WeightDecay::decoupled};
  }
};

}  // namespace onepass
