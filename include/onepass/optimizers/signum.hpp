// signum.hpp - Signum: the sign of the momentum as the step; signSGD and Nesterov as options.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Signum, elementwise. A momentum of 0 makes it signSGD, which has no state.
///
///     buf = momentum * buf + (1 - momentum) * g
///     p   = p - lr * sign(g)                                             momentum = 0
///     p   = p - lr * sign(buf)                                           momentum > 0
///     p   = p - lr * sign(momentum * buf + (1 - momentum) * g)           nesterov
///
/// sign(0) is 0. g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. buf is
/// the state momentum_buffer, an average of the gradients. Without Nesterov, Signum is Lion with two betas of
/// momentum.
///
/// Source: Bernstein et al. 2018, arXiv 1802.04434, algorithms 1 (signSGD) and 2 (Signum). Nesterov momentum
/// is that of SGD and takes buf after this step. Deviations: the paper's workers vote on each
/// sign, and here g is the gradient of all of them together; on a step whose momentum is 0, among others with
/// momentum, buf = g.
///
/// Use: large batches and few bytes; gradients whose sizes carry no information.
///
/// Shapes: p, g and buf have equal numel; the rule combines elements with equal index. The arithmetic is in
/// float32; Storage says how p and buf are stored.
///
/// NaN in a gradient propagates into buf and p. Inf counts by its sign: p moves by lr. buf becomes Inf, and
/// NaN one step later.
///
/// describe() has units and ranges of the hyperparameters; nesterov needs a momentum above 0.
struct Signum {
  double lr = 1e-3;
  double momentum = 0.9;
  double weight_decay = 0.0;
  double l1 = 0.0;
  bool nesterov = false;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Signum";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Signum::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("momentum", &Signum::momentum, rule::kUnitInterval, "Share of buf kept per step; 0 is signSGD.");
    list("nesterov", &Signum::nesterov, "Nesterov momentum, which looks one step ahead.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_momentum;
    lane::Flag accumulates;  ///< momentum is not 0. Without it buf is not read: Inf - Inf would be NaN.
    lane::Flag nesterov;
  };

  /// The variant without momentum.
  struct Plain {
    static constexpr std::array<const char*, 0> kStates{};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g) {
      return lane::with_sign_of(g, k.lr);
    }
  };

  /// The variant with momentum.
  struct Momentum {
    static constexpr std::array kStates{"momentum_buffer"};
    static constexpr std::array kDecays{"momentum"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& buf) {
      buf = lane::select(k.accumulates, lane::lerp(buf, g, k.one_minus_momentum), g);
      const float ahead = lane::lerp(buf, g, k.one_minus_momentum);
      return lane::with_sign_of(lane::select(k.nesterov, ahead, buf), k.lr);
    }
  };

  using Variants = VariantList<Plain, Momentum>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return momentum != 0.0 ? 1u : 0u; }
  static constexpr unsigned kSwitchable = 1;  ///< momentum may become 0.

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_momentum = static_cast<float>(1.0 - momentum),
            .accumulates = momentum != 0.0 ? 1u : 0u,
            .nesterov = nesterov ? 1u : 0u};
  }

  /// Throws InvalidArgument if nesterov is set without momentum.
  void check() const {
    if (nesterov && momentum == 0.0) rule::fail(kName, "nesterov needs a momentum above 0");
  }
};

}  // namespace onepass
