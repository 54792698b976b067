// adam.hpp - Adam with bias correction; AMSGrad as an option.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adam, elementwise. t is the parameter's own step number, starting at 1.
///
///     exp_avg        = beta1 * exp_avg + (1 - beta1) * g
///     exp_avg_sq     = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     max_exp_avg_sq = max(max_exp_avg_sq, exp_avg_sq)           amsgrad: replaces exp_avg_sq below
///     m_hat = exp_avg / (1 - beta1^t)
///     v_hat = exp_avg_sq / (1 - beta2^t)
///     p = p - lr / (sqrt(v_hat) + eps) * m_hat
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around.
///
/// Source: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1. AMSGrad: Reddi et al. 2018, arXiv 1904.09237, in
/// PyTorch's form, which takes the maximum of the uncorrected moment and corrects it afterwards. Deviations:
/// none.
///
/// Use: where a recipe asks for coupled decay; else AdamW.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf and NaN in a gradient propagate into the states and p; AMSGrad's maximum keeps a NaN. The square of a
/// gradient beyond 1.8e19 overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct Adam {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool amsgrad = false;
  bool maximize = false;

  static constexpr const char* kName = "Adam";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) { describe_adam<Adam>(list); }

  /// Lists the hyperparameters that Adam and AdamW share.
  template <class Rule>
  static void describe_adam(auto& list) {
    list("lr", &Rule::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Rule::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Rule::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &Rule::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    list("amsgrad", &Rule::amsgrad, "Divides by the largest second moment so far.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;  ///< lr / (1 - beta1^t)
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
  };

  /// Returns the update of a parameter, given its moments after this step.
  static ONEPASS_LANE float update_of(const Coefficients& k, float exp_avg, float second_moment) {
    return k.step_size * (exp_avg / lane::fma(lane::sqrt(second_moment), k.inverse_root, k.eps));
  }

  /// The variant without AMSGrad.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<0>;
    static ONEPASS_LANE float heading(const Coefficients& k, float /*p*/, float g, float exp_avg,
                                      float /*exp_avg_sq*/) {
      return lane::lerp(exp_avg, g, k.one_minus_beta1);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      return update_of(k, exp_avg, exp_avg_sq);
    }
  };

  /// The variant with AMSGrad.
  struct AmsGrad {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
    static constexpr std::array<const char*, 3> kDecays{"beta1", "beta2", nullptr};
    static constexpr unsigned kNonnegative = 0b110;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<0>;
    static ONEPASS_LANE float heading(const Coefficients& k, float p, float g, float exp_avg,
                                      float exp_avg_sq, float /*max_exp_avg_sq*/) {
      return Plain::heading(k, p, g, exp_avg, exp_avg_sq);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq, float& max_exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      max_exp_avg_sq = lane::max(max_exp_avg_sq, exp_avg_sq);
      return update_of(k, exp_avg, max_exp_avg_sq);
    }
  };

  using Variants = VariantList<Plain, AmsGrad>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return amsgrad ? 1u : 0u; }

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

  /// Lists the presets.
  static void presets(auto& list) {
    list("apex", apex(), "FusedAdam of NVIDIA Apex and of DeepSpeed decouples the weight decay.");
    list("bitsandbytes", bitsandbytes(),
         "Adam of bitsandbytes shrinks the moved parameter by the weight decay, in the kernels "
         "for CUDA.");
  }
  /// apex.optimizers.FusedAdam and deepspeed.ops.adam.FusedAdam: their adam_w_mode is on by default. Source:
  /// apex 6424da3, csrc/multi_tensor_adam.cu.
  static constexpr Adam apex() { return {.weight_decay_mode = WeightDecay::decoupled}; }
  /// bitsandbytes.optim.Adam, which shares the kernels of its AdamW. Source: bitsandbytes 95f9af3,
  /// csrc/kernels.cu, kOptimizer32bit2State; its other backends decay the old parameter.
  static constexpr Adam bitsandbytes() { return {.weight_decay_mode = WeightDecay::after}; }
};

}  // namespace onepass
