// adamax.hpp - Adamax: Adam with the infinity norm of recent gradients as the divisor.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adamax, elementwise. t is the parameter's own step number, starting at 1.
///
///     exp_avg = beta1 * exp_avg + (1 - beta1) * g
///     exp_inf = max(beta2 * exp_inf, |g| + eps)
///     p       = p - lr / (1 - beta1^t) * exp_avg / exp_inf
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around.
///
/// Source: Kingma and Ba 2015, arXiv 1412.6980, algorithm 2. Deviation from the paper: eps, which PyTorch
/// adds so that nothing is divided by 0. Deviations from PyTorch: none.
///
/// Formats with less than 32 bits store exp_inf^2 in place of exp_inf. 8-bit states are companded by the root
/// of what is stored, so that no exp_inf is then restored below 1/255 of the block's largest. Stored as it
/// is, one of 1/65025 would be, while the error of exp_avg is up to 1/472 of its block's largest: steps of a
/// hundred times lr would follow. Squares limit exp_inf to 1e-19 and 1e19, as they do in Adam.
///
/// Use: gradients that are often 0 and sometimes large; a few large ones bound the step for long.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p; the maximum keeps a NaN.
///
/// describe() has units and ranges of the hyperparameters.
struct Adamax {
  double lr = 2e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Adamax";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Adamax::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Adamax::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Adamax::beta2, rule::kUnitInterval, "Share of exp_inf kept per step without larger g.");
    list("eps", &Adamax::eps, rule::kEps,
         "Gradient units, added to |g|. With 0, a gradient of 0 gives 0 / 0 = NaN while exp_inf is 0.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;  ///< lr / (1 - beta1^t)
    float one_minus_beta1, beta2, eps;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_inf"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_inf) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_inf = lane::max(k.beta2 * exp_inf, lane::abs(g) + k.eps);
      return k.step_size * (exp_avg / exp_inf);
    }
    static ONEPASS_LANE void compress(float& /*exp_avg*/, float& exp_inf) { exp_inf *= exp_inf; }
    static ONEPASS_LANE void expand(float& /*exp_avg*/, float& exp_inf) { exp_inf = lane::sqrt(exp_inf); }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.step_size = static_cast<float>(lr / (1.0 - lane::power(beta1, step))),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .beta2 = static_cast<float>(beta2),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace onepass
