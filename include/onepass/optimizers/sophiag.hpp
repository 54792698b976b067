// sophiag.hpp - Sophia-G: momentum over an estimate of the Hessian's diagonal, clipped to the learning rate.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Sophia-G, elementwise: a step, and every few steps a refresh of the Hessian.
///
///     exp_avg = beta1 * exp_avg + (1 - beta1) * g
///     ratio   = min(|exp_avg| / (rho * batch_size * hessian + 1e-15), 1)
///     p = p - (lr * weight_decay * p + lr * sign(exp_avg) * ratio)
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. No average has a bias
/// correction. hessian is the average, with beta2, of squared gradients of a mini-batch whose labels are
/// drawn from the model's own predictions; batch_size makes it an estimate of the Hessian's diagonal
/// (Gauss-Newton-Bartlett). A step only reads it. The sweep update_hessian refreshes it, every tenth step in
/// the paper, from the gradients of such a mini-batch:
///
///     hessian = beta2 * hessian + (1 - beta2) * g^2
///
/// Here g is the gradient after unscaling and sign. Until the first refresh every step has the size lr.
///
/// Source: Liu et al. 2023, arXiv 2305.14342, algorithm 3, in the form of the authors' code, which has 1e-15
/// in the denominator and no bias correction. Deviations: none.
///
/// Use: language models whose training loop can sample labels from the model every few steps.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored.
///
/// Inf in a gradient makes exp_avg Inf, moves p by lr, and makes exp_avg and p NaN one step later. NaN in a
/// gradient or in a state propagates into p.
///
/// describe() has units and ranges of the hyperparameters.
struct SophiaG {
  double lr = 1e-4;
  double beta1 = 0.965;
  double beta2 = 0.99;
  double rho = 0.04;
  double batch_size = 5120.0;
  double weight_decay = 0.1;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "SophiaG";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &SophiaG::lr, rule::kNonnegative,
         "Learning rate: parameter units per step, and the longest step.");
    list("beta1", &SophiaG::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &SophiaG::beta2, rule::kUnitInterval,
         "Share of hessian kept per refresh; a step does not use it.");
    list("rho", &SophiaG::rho, rule::kNonnegative,
         "Parameter units: a step is clipped where exp_avg over the Hessian's diagonal is larger.");
    list("batch_size", &SophiaG::batch_size, rule::kNonnegative,
         "Tokens in the batch of a refresh; the diagonal is batch_size * hessian.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_beta1;
    float one_minus_beta2;  ///< For the refresh.
    float rho;              ///< rho * batch_size
  };

  /// Keeps 0 / 0 from the ratio, as in the authors' code.
  static constexpr float kLeast = 1e-15f;

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "hessian"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     const float& hessian) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      return k.lr * lane::clamp(exp_avg / lane::fma(k.rho, hessian, kLeast), 1.0f);
    }
  };

  /// The sweep that refreshes the Hessian. The parameter and exp_avg stay as they are.
  struct UpdateHessian {
    static constexpr const char* kName = "update_hessian";
    static constexpr std::array kStates{"exp_avg", "hessian"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, const float& /*exp_avg*/,
                                     float& hessian) {
      hessian = lane::lerp(hessian, g * g, k.one_minus_beta2);
      return 0.0f;
    }
  };

  using Variants = VariantList<Plain>;
  using Sweeps = VariantList<UpdateHessian>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .rho = static_cast<float>(rho * batch_size)};
  }
};

}  // namespace onepass
