// adamw.hpp - AdamW: Adam with decoupled weight decay.
#pragma once

#include "onepass/optimizers/adam.hpp"

namespace onepass {

/// AdamW, elementwise: Adam's moments and update, and a weight decay that does not enter the moments.
///
///     p = p - (lr * weight_decay * p + lr / (sqrt(v_hat) + eps) * m_hat)
///
/// Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, in PyTorch's form: the decay is scaled
/// by lr and applies to the old parameter. Deviations: PyTorch multiplies p by the float32 nearest to
/// 1 - lr * weight_decay, which loses small decays; here the decay joins the update (rule::Around).
///
/// Use: transformers, and most networks whose recipe is not known.
///
/// Shapes, dtypes, AMSGrad, and Inf and NaN: as Adam. describe() has units and ranges of the hyperparameters.
struct AdamW {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool amsgrad = false;
  bool maximize = false;

  static constexpr const char* kName = "AdamW";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) { Adam::describe_adam<AdamW>(list); }

  using Coefficients = Adam::Coefficients;
  using Variants = Adam::Variants;
  using Loops = Adam;  ///< Only prepare() differs.
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return amsgrad ? 1u : 0u; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return Adam{.lr = lr, .beta1 = beta1, .beta2 = beta2, .eps = eps}.prepare(step);
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("bitsandbytes", bitsandbytes(),
         "AdamW of bitsandbytes shrinks the moved parameter by the weight decay, in the kernels "
         "for CUDA.");
    list("optax", optax(), "optax.adamw has a smaller weight decay.");
  }
  /// bitsandbytes.optim.AdamW. Source: bitsandbytes 95f9af3, csrc/kernels.cu, kOptimizer32bit2State; its
  /// other backends decay the old parameter, as the default here does.
  static constexpr AdamW bitsandbytes() { return {.weight_decay_mode = WeightDecay::after}; }
  /// optax.adamw. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr AdamW optax() { return {.weight_decay = 1e-4}; }
};

}  // namespace onepass
