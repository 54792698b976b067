// around.hpp - what every optimizer shares, done around its rule and not in it.
#pragma once

#include "onepass/rule/check.hpp"
#include "onepass/rule/lane.hpp"

namespace onepass {

/// Where weight decay acts.
enum class WeightDecay : unsigned {
  coupled,    ///< L2: weight_decay * p is added to the gradient, before the rule (torch.optim.Adam).
  decoupled,  ///< The parameter is multiplied by 1 - lr * weight_decay (torch.optim.AdamW).
};

namespace rule {

/// One step of one element, for every rule:
///     g = -g                   if maximize
///     g = g + weight_decay * p                   coupled
///     s = rule(g, states)
///     p = (1 - lr * weight_decay) * p - s        decoupled, else p - s; one rounding
/// The order is PyTorch's: the sign before the decay, and the old parameter decays. Coefficients are formed
/// in double and rounded once.
struct Around {
  float grad_scale;  ///< 1, or -1 to maximize.
  float l2;          ///< Coupled weight decay, else 0.
  float decay;       ///< 1 - lr * weight_decay if decoupled, else 1.

  template <class Rule>
  static ONEPASS_LANE Around prepare(const Rule& rule) {
    const bool coupled = rule.weight_decay_mode == WeightDecay::coupled;
    return {.grad_scale = rule.maximize ? -1.0f : 1.0f,
            .l2 = coupled ? static_cast<float>(rule.weight_decay) : 0.0f,
            .decay = coupled ? 1.0f : static_cast<float>(1.0 - rule.lr * rule.weight_decay)};
  }

  /// The gradient that the rule sees. Without coupled decay p is not touched: 0 * Inf would be NaN.
  [[nodiscard]] ONEPASS_LANE float before(float p, float g) const {
    const float signed_grad = grad_scale * g;
    return l2 != 0.0f ? lane::fma(l2, p, signed_grad) : signed_grad;
  }

  /// The new parameter, given the rule's step.
  [[nodiscard]] ONEPASS_LANE float after(float p, float step) const { return lane::fma(decay, p, -step); }
};

/// Checks the hyperparameters that every rule has. Throws InvalidArgument.
template <class Rule>
void check_shared(const Rule& rule) {
  require_nonnegative({Rule::kName, "lr"}, rule.lr);
  require_nonnegative({Rule::kName, "weight_decay"}, rule.weight_decay);
}

}  // namespace rule
}  // namespace onepass
