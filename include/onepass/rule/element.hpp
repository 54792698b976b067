// element.hpp - one step of one element: the rule, and what stands around every rule.
#pragma once

#include <cstdint>

#include "onepass/rule/around.hpp"

namespace onepass::rule {

/// What a step needs to know of one tensor: written once a step by prepare, read by every element.
template <class Rule>
struct TensorCoefficients {
  Around around;
  typename Rule::Coefficients rule;
  bool active;     ///< False: the tensor is left out of this step.
  bool zero_grad;  ///< The update leaves zeros where it found the gradient, active or not.

  static ONEPASS_LANE TensorCoefficients prepare(const Rule& rule, std::int64_t step,
                                                 const GradientScale& scale, bool zero_grad) {
    return {Around::prepare(rule, scale), rule.prepare(step), true, zero_grad};
  }
};

/// Moves one parameter and its states. Loads and stores, and how numbers lie in memory, are the sweep's.
/// kPlain: around is_plain(), which leaves something out and changes no bit.
template <class Variant, bool kPlain, class Rule, class... State>
ONEPASS_LANE void move(const TensorCoefficients<Rule>& k, float& p, float g, State&... states) {
  const float step = Variant::update(k.rule, p, k.around.template before<kPlain>(p, g), states...);
  p = k.around.template after<kPlain>(p, step);
}

}  // namespace onepass::rule
