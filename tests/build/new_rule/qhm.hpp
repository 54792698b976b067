// qhm.hpp - quasi-hyperbolic momentum.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Quasi-hyperbolic momentum (QHM), elementwise: the weighted mean of a plain step and a momentum step.
///
///     buf = beta * buf + (1 - beta) * g
///     p   = p - lr * ((1 - nu) * g + nu * buf)
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. buf is the state
/// momentum_buffer. With nu = 0 the step is plain SGD's; nu = 1 and nu = beta give SGD's momentum and
/// Nesterov momentum with the learning rate lr * (1 - beta).
///
/// Source: Ma and Yarats 2019, arXiv 1810.06801, eq. 3. The default beta and nu are the paper's rule of
/// thumb. Deviations: none.
///
/// Use: as SGD with momentum, where the last gradient should have a share of its own in the step.
///
/// Shapes: p, g and buf have equal numel; the rule combines elements with equal index. The arithmetic is in
/// float32; Storage says how p and buf are stored. Inf and NaN in a gradient propagate into buf and p.
///
/// describe() has units and ranges of the hyperparameters.
struct QHM {
  double lr = 1e-2;
  double beta = 0.999;
  double nu = 0.7;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "QHM";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &QHM::lr, rule::kNonnegative, "Learning rate: parameter units per unit of gradient.");
    list("beta", &QHM::beta, rule::kUnitInterval, "Share of buf kept per step.");
    list("nu", &QHM::nu, rule::kFinite, "Share of buf in the step; the gradient has the share 1 - nu.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_beta, nu, one_minus_nu;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"momentum_buffer"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& buf) {
      buf = lane::lerp(buf, g, k.one_minus_beta);
      return k.lr * lane::fma(k.nu, buf, k.one_minus_nu * g);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_beta = static_cast<float>(1.0 - beta),
            .nu = static_cast<float>(nu),
            .one_minus_nu = static_cast<float>(1.0 - nu)};
  }
};

}  // namespace onepass
