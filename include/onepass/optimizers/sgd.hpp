// sgd.hpp - stochastic gradient descent; momentum and Nesterov as options.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Stochastic gradient descent, elementwise.
///
///     buf = g                                        on the parameter's first step
///     buf = momentum * buf + (1 - dampening) * g     on later steps
///     p   = p - lr * g                               momentum = 0
///     p   = p - lr * buf                             momentum > 0
///     p   = p - lr * (g + momentum * buf)            nesterov
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. buf is the state
/// momentum_buffer.
///
/// Source: Sutskever et al. 2013, in PyTorch's form (torch.optim.SGD): the learning rate multiplies the
/// buffer, so a changed lr acts at once, and the first step has no dampening. Deviation from PyTorch: on a
/// step whose momentum is 0, among others with momentum, buf = g; PyTorch leaves buf alone. So a momentum
/// that was 0 for a while goes on from the last gradient, not from the buffer before. If it was 0 from the
/// first step on, its first step is damped like later ones, and PyTorch's is not.
///
/// Use: networks whose learning rate is tuned, such as convolutional ones with momentum; the fewest
/// bytes.
///
/// Shapes: p, g and buf have equal numel; the rule combines elements with equal index. The arithmetic is in
/// float32; Storage says how p and buf are stored. Inf and NaN in a gradient propagate into buf and p.
///
/// describe() has units and ranges of the hyperparameters; nesterov needs a momentum above 0 and a dampening
/// of 0.
struct SGD {
  double lr = 1e-3;
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  bool nesterov = false;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "SGD";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &SGD::lr, rule::kNonnegative, "Learning rate: parameter units per unit of gradient.");
    list("momentum", &SGD::momentum, rule::kNonnegative, "Share of buf kept per step.");
    list("dampening", &SGD::dampening, rule::kFinite, "Share of g left out of buf.");
    list("nesterov", &SGD::nesterov, "Nesterov momentum, which looks one step ahead.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, momentum, one_minus_dampening;
    lane::Flag starts;  ///< Sets buf = g: on the first step, or while momentum is 0.
    lane::Flag nesterov;
  };

  /// The variant without momentum.
  struct Plain {
    static constexpr std::array<const char*, 0> kStates{};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g) { return k.lr * g; }
  };

  /// The variant with momentum.
  struct Momentum {
    static constexpr std::array<const char*, 1> kStates{"momentum_buffer"};
    static constexpr std::array<const char*, 1> kDecays{"momentum"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& buf) {
      buf = lane::select(k.starts, g, lane::fma(k.momentum, buf, k.one_minus_dampening * g));
      return k.lr * lane::select(k.nesterov, lane::fma(k.momentum, buf, g), buf);
    }
  };

  using Variants = VariantList<Plain, Momentum>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return momentum != 0.0 ? 1u : 0u; }
  static constexpr unsigned kSwitchable = 1;  ///< momentum may become 0.

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.lr = static_cast<float>(lr),
            .momentum = static_cast<float>(momentum),
            .one_minus_dampening = static_cast<float>(1.0 - dampening),
            .starts = step == 1 || momentum == 0.0 ? 1u : 0u,
            .nesterov = nesterov ? 1u : 0u};
  }

  /// Throws InvalidArgument if nesterov is set without momentum or with dampening.
  void check() const {
    if (nesterov && (momentum == 0.0 || dampening != 0.0)) {
      rule::fail(kName, "nesterov needs a momentum above 0 and a dampening of 0");
    }
  }
};

}  // namespace onepass
