// sgd.hpp - stochastic gradient descent: plain, momentum, Nesterov.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Stochastic gradient descent, elementwise.
///     buf = g                                        on the parameter's first step
///     buf = momentum * buf + (1 - dampening) * g     after it
///     p   = p - lr * g                               momentum 0
///     p   = p - lr * buf                             momentum
///     p   = p - lr * (g + momentum * buf)            nesterov
/// where g already carries sign and coupled decay (rule/around.hpp).
/// Source: Sutskever et al. 2013, in PyTorch's form (torch.optim.SGD): the rate multiplies the buffer, so a
/// changed lr acts at once, and the first step takes no dampening. Deviations from PyTorch: none.
/// Shapes: p, g, buf have equal numel; element i meets element i. Dtypes: float32.
/// Non-finite gradients propagate into buf and p.
/// Errors: InvalidArgument where a range below is left, or nesterov is asked for without momentum or with
/// dampening.
struct SGD {
  double lr = 1e-3;           ///< Parameter units per unit of gradient; >= 0.
  double momentum = 0.0;      ///< Share of buf kept per step; >= 0.
  double dampening = 0.0;     ///< Share of g left out of buf; finite.
  double weight_decay = 0.0;  ///< Per unit of p; >= 0.
  double l1 = 0.0;            ///< Of the penalty l1 * sum |p|; >= 0.
  bool nesterov = false;      ///< Looks one step ahead.
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;  ///< Ascends.

  static constexpr const char* kName = "SGD";

  struct Coefficients {
    float lr, momentum, one_minus_dampening;
    lane::Flag starts;  ///< buf = g: first step, or no momentum in this group.
    lane::Flag nesterov;
  };

  struct Plain {
    static constexpr std::array<const char*, 0> kStates{};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g) { return k.lr * g; }
  };

  struct Momentum {
    static constexpr std::array<const char*, 1> kStates{"momentum_buffer"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& buf) {
      buf = lane::select(k.starts, g, lane::fma(k.momentum, buf, k.one_minus_dampening * g));
      return k.lr * lane::select(k.nesterov, lane::fma(k.momentum, buf, g), buf);
    }
  };

  using Variants = VariantList<Plain, Momentum>;
  [[nodiscard]] unsigned variant() const { return momentum != 0.0 ? 1u : 0u; }

  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.lr = static_cast<float>(lr),
            .momentum = static_cast<float>(momentum),
            .one_minus_dampening = static_cast<float>(1.0 - dampening),
            .starts = step == 1 || momentum == 0.0 ? 1u : 0u,
            .nesterov = nesterov ? 1u : 0u};
  }

  void check() const {
    rule::check_shared(*this);
    rule::require_nonnegative({kName, "momentum"}, momentum);
    rule::require_finite({kName, "dampening"}, dampening);
    if (nesterov && (momentum == 0.0 || dampening != 0.0)) {
      rule::fail(kName, "nesterov needs a momentum above 0 and a dampening of 0");
    }
  }
};

}  // namespace onepass
