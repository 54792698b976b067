// adamw.hpp - AdamW: Adam with decoupled weight decay.
#pragma once

#include "onepass/optimizers/adam.hpp"

namespace onepass {

/// AdamW, elementwise: Adam's moments and update, and a weight decay that does not enter the moments.
///
///     p = (1 - lr * weight_decay) * p - lr / (sqrt(v_hat) + eps) * m_hat
///
/// Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, in PyTorch's form: the decay is scaled
/// by lr and applies to the old parameter. Deviations: the two terms are added with one rounding.
///
/// Shapes, dtypes, AMSGrad, and Inf and NaN: as Adam. Throws InvalidArgument if a hyperparameter is outside
/// the range given below.
struct AdamW {
  double lr = 1e-3;            ///< Parameter units per step; >= 0.
  double beta1 = 0.9;          ///< Share of exp_avg kept per step; in [0, 1).
  double beta2 = 0.999;        ///< Share of exp_avg_sq kept per step; in [0, 1).
  double eps = 1e-8;           ///< Gradient units, outside the root; >= 0. With 0, g = 0 gives 0 / 0 = NaN.
  double weight_decay = 1e-2;  ///< Share of p removed per step, times lr; >= 0.
  double l1 = 0.0;             ///< Coefficient of the penalty l1 * sum |p|; >= 0.
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool amsgrad = false;   ///< Divides by the largest second moment so far.
  bool maximize = false;  ///< Ascends instead of descending.

  static constexpr const char* kName = "AdamW";

  using Coefficients = Adam::Coefficients;
  using Variants = Adam::Variants;
  using Loops = Adam;  ///< Only prepare() differs.
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return amsgrad ? 1u : 0u; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return Adam{.lr = lr, .beta1 = beta1, .beta2 = beta2, .eps = eps, .amsgrad = amsgrad}.prepare(step);
  }

  /// Throws InvalidArgument if a hyperparameter is out of range.
  void check() const { Adam::check_adam(*this); }
};

}  // namespace onepass
