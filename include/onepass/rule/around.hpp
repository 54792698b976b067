// around.hpp - what every optimizer shares, done around its rule and not in it.
#pragma once

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/check.hpp"

namespace onepass {

/// Where weight decay acts.
enum class WeightDecay : unsigned {
  coupled,    ///< L2: weight_decay * p is added to the gradient, before the rule (torch.optim.Adam).
  decoupled,  ///< The parameter is multiplied by 1 - lr * weight_decay (torch.optim.AdamW).
};

/// How an L1 penalty, l1 * sum |p|, acts.
enum class L1 : unsigned {
  proximal,     ///< After the rule, |p| shrinks by lr * l1 and stops at 0: exact zeros.
  subgradient,  ///< l1 * sign(p) is added to the gradient, before the rule; sign(0) is 0. p dithers around 0.
};

namespace rule {

/// What a step does to the gradients of all tensors alike, before anything else.
struct GradientScale {
  double factor = 1.0;  ///< Unscaling, mean over micro-batches, clipping by norm: one product.
  float limit = __builtin_huge_valf();  ///< Clipping by value: what follows lies in [-limit, limit].
};

/// One step of one element, for every rule:
///     g = clamp(factor * g, -limit, limit)           -g if maximize
///     g = g + weight_decay * p                       coupled
///     g = g + l1 * sign(p)                           subgradient
///     s = rule(g, states)
///     p = (1 - lr * weight_decay) * p - s            decoupled, else p - s; one rounding
///     p = sign(p) * max(|p| - lr * l1, 0)            proximal
/// The order is PyTorch's: the sign before the decay, and the old parameter decays. Weight decay and l1 at
/// once are the elastic net (Zou and Hastie 2005). The proximal step is that of Parikh and Boyd 2014, section
/// 6.5.2, with the learning rate as its step size for every rule. Coefficients are formed in double and
/// rounded once.
struct Around {
  float grad_scale;  ///< factor, negative to maximize.
  float limit;
  float l2;         ///< Coupled weight decay, else 0.
  float l1;         ///< Of the subgradient, else 0.
  float decay;      ///< 1 - lr * weight_decay if decoupled, else 1.
  float threshold;  ///< lr * l1 if proximal, else 0.

  template <class Rule>
  static ONEPASS_LANE Around prepare(const Rule& rule, const GradientScale& scale) {
    const bool coupled = rule.weight_decay_mode == WeightDecay::coupled;
    const bool proximal = rule.l1_mode == L1::proximal;
    return {.grad_scale = static_cast<float>(rule.maximize ? -scale.factor : scale.factor),
            .limit = scale.limit,
            .l2 = coupled ? static_cast<float>(rule.weight_decay) : 0.0f,
            .l1 = proximal ? 0.0f : static_cast<float>(rule.l1),
            .decay = coupled ? 1.0f : static_cast<float>(1.0 - rule.lr * rule.weight_decay),
            .threshold = proximal ? static_cast<float>(rule.lr * rule.l1) : 0.0f};
  }

  /// Whether the steps that few ask for, clamp and L1, do nothing here. A CPU loop without them is up to
  /// twice as fast in cache; it gives the same bits.
  [[nodiscard]] ONEPASS_LANE bool is_plain() const {
    return limit > __FLT_MAX__ && l1 == 0.0f && threshold == 0.0f;
  }

  /// The gradient that the rule sees. Where nothing is asked for nothing is added: 0 * Inf would be NaN, and
  /// -0 + 0 is not -0.
  template <bool kPlain>
  [[nodiscard]] ONEPASS_LANE float before(float p, float g) const {
    const float scaled = kPlain ? grad_scale * g : lane::clamp(grad_scale * g, limit);
    const float decayed = l2 != 0.0f ? lane::fma(l2, p, scaled) : scaled;
    if constexpr (kPlain) return decayed;
    return l1 != 0.0f ? decayed + lane::with_sign_of(p, l1) : decayed;
  }

  /// The new parameter, given the rule's step.
  template <bool kPlain>
  [[nodiscard]] ONEPASS_LANE float after(float p, float step) const {
    const float moved = lane::fma(decay, p, -step);
    if constexpr (kPlain) return moved;
    return lane::copysign(lane::at_least(0.0f, lane::abs(moved) - threshold), moved);
  }
};

/// Checks the hyperparameters that every rule has. Throws InvalidArgument.
template <class Rule>
void check_shared(const Rule& rule) {
  require_nonnegative({Rule::kName, "lr"}, rule.lr);
  require_nonnegative({Rule::kName, "weight_decay"}, rule.weight_decay);
  require_nonnegative({Rule::kName, "l1"}, rule.l1);
}

}  // namespace rule
}  // namespace onepass
