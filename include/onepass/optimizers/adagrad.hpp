// adagrad.hpp - Adagrad: each element's rate falls with the sum of its squared gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adagrad, elementwise. t is the parameter's own step number, starting at 1.
///
///     sum = initial_accumulator_value                            before the parameter's first step
///     sum = sum + g^2
///     p   = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps)
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around.
///
/// Source: Duchi, Hazan and Singer 2011, JMLR 12, figure 1 (diagonal matrices), in PyTorch's form: eps
/// outside the root, and an optional decay of the rate. Deviation from PyTorch: sum gets its initial value in
/// the first step, not when the optimizer is made.
///
/// sum stays float32 in every format. It never decays, so the errors of a narrower one would add up for as
/// long as training runs, and a large sum would no longer grow.
///
/// Use: sparse gradients, such as those of embeddings; the step only falls.
///
/// Shapes: p, g and sum have equal numel; the rule combines elements with equal index. The arithmetic is in
/// float32; Storage says how p is stored.
///
/// Inf and NaN in a gradient propagate into sum and p, and sum keeps them. The square of a gradient beyond
/// 1.8e19 overflows float32: sum becomes Inf, and p stays where it is from then on.
///
/// describe() has units and ranges of the hyperparameters.
struct Adagrad {
  double lr = 1e-2;
  double lr_decay = 0.0;
  double initial_accumulator_value = 0.0;
  double eps = 1e-10;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Adagrad";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Adagrad::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("lr_decay", &Adagrad::lr_decay, rule::kNonnegative, "Step t divides lr by 1 + (t - 1) * lr_decay.");
    list("initial_accumulator_value", &Adagrad::initial_accumulator_value, rule::kNonnegative,
         "First value of sum, in squared gradient units.");
    list("eps", &Adagrad::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN while sum is 0.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;  ///< lr / (1 + (t - 1) * lr_decay)
    float eps;
    float initial_sum;
    lane::Flag starts;  ///< Sets sum to its first value: on the first step.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"sum"};
    static constexpr unsigned kNonnegative = 0b1;
    static constexpr unsigned kFloat32 = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& sum) {
      sum = lane::fma(g, g, lane::select(k.starts, k.initial_sum, sum));
      return k.step_size * (g / (lane::sqrt(sum) + k.eps));
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double slower = lane::fma(static_cast<double>(step - 1), lr_decay, 1.0);
    return {.step_size = static_cast<float>(lr / slower),
            .eps = static_cast<float>(eps),
            .initial_sum = static_cast<float>(initial_accumulator_value),
            .starts = step == 1 ? 1u : 0u};
  }
};

}  // namespace onepass
