// adam.hpp - Adam: both moments, bias correction of both; AMSGrad as an option.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adam, elementwise; t counts the parameter's own steps from 1.
///     exp_avg        = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq     = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     max_exp_avg_sq = max(max_exp_avg_sq, exp_avg_sq)           amsgrad: stands for exp_avg_sq below
///     m_hat = exp_avg / (1 - beta1^t)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - lr / (sqrt(v_hat) + eps) * m_hat
/// where g already carries sign and coupled decay (rule/around.hpp).
/// Source: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1; AMSGrad: Reddi et al. 2018, arXiv 1904.09237,
/// in PyTorch's form: the maximum is of the uncorrected moment, corrected after. Deviations: none.
/// Shapes: p, g and the states have equal numel; element i meets element i. Dtypes: float32.
/// Non-finite gradients propagate into the states and p; NaN wins the maximum.
/// Beyond 1.8e19 a gradient's square is not finite in float32: the state is Inf, and NaN a step later.
/// Errors: InvalidArgument where a range below is left.
struct Adam {
  double lr = 1e-3;           ///< Parameter units per step; >= 0.
  double beta1 = 0.9;         ///< Share of exp_avg kept per step; in [0, 1).
  double beta2 = 0.999;       ///< Share of exp_avg_sq kept per step; in [0, 1).
  double eps = 1e-8;          ///< Gradient units, outside the root; >= 0. With 0, g = 0 gives 0 / 0 = NaN.
  double weight_decay = 0.0;  ///< Per unit of p; >= 0.
  double l1 = 0.0;            ///< Of the penalty l1 * sum |p|; >= 0.
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool amsgrad = false;   ///< Divides by the largest second moment so far.
  bool maximize = false;  ///< Ascends.

  static constexpr const char* kName = "Adam";

  struct Coefficients {
    float step_size;  ///< lr / (1 - beta1^t)
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
    lane::Flag amsgrad;
  };

  static ONEPASS_LANE float step(const Coefficients& k, float exp_avg, float second_moment) {
    return k.step_size * (exp_avg / lane::fma(lane::sqrt(second_moment), k.inverse_root, k.eps));
  }

  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      return step(k, exp_avg, exp_avg_sq);
    }
  };

  struct AmsGrad {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
    static constexpr unsigned kNonnegative = 0b110;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq, float& max_exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      max_exp_avg_sq = lane::max(max_exp_avg_sq, exp_avg_sq);
      return step(k, exp_avg, lane::select(k.amsgrad, max_exp_avg_sq, exp_avg_sq));
    }
  };

  using Variants = VariantList<Plain, AmsGrad>;
  [[nodiscard]] unsigned variant() const { return amsgrad ? 1u : 0u; }

  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double bias_correction1 = 1.0 - lane::power(beta1, step);
    const double bias_correction2 = 1.0 - lane::power(beta2, step);
    return {.step_size = static_cast<float>(lr / bias_correction1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps),
            .amsgrad = amsgrad ? 1u : 0u};
  }

  void check() const { check_adam(*this); }

  template <class Rule>
  static void check_adam(const Rule& rule) {
    rule::check_shared(rule);
    rule::require_unit_interval({Rule::kName, "beta1"}, rule.beta1);
    rule::require_unit_interval({Rule::kName, "beta2"}, rule.beta2);
    rule::require_eps({Rule::kName, "eps"}, rule.eps);
  }
};

}  // namespace onepass
