// element.hpp - one step of one element: the rule, and what stands around every rule.
#pragma once

#include <cstdint>

#include "onepass/random/philox.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::rule {

/// The random bits that a tensor's numbers are rounded with, at one step.
struct Draws {
  std::uint64_t key;
  std::uint64_t first_group;  ///< Of the tensor's first element: its offset in the logical tensor, / 32.
  std::uint32_t step;
  std::uint32_t tensor;

  /// Where the words of the tensor's group are drawn: one for each state, the last for the parameter.
  [[nodiscard]] ONEPASS_LANE random::Counter counter(std::int64_t group, random::Purpose purpose) const {
    return {first_group + static_cast<std::uint64_t>(group), purpose, step, tensor};
  }
  [[nodiscard]] ONEPASS_LANE random::Words of(const random::Counter& counter) const {
    return random::philox(key, counter);
  }
};

/// The word of a group that its parameters are rounded with.
inline constexpr int kParamWord = 3;

/// What a step does with one tensor, whatever the rule.
struct TensorStep {
  Draws draws;
  float ema_weight;                  ///< Of the new parameter in its moving average.
  lane::Flag rounds_stochastically;  ///< 0: to nearest.
  bool active;                       ///< False: the tensor is left out of this step.
  bool zero_grad;                    ///< The update leaves zeros where it found the gradient, active or not.
};

/// What a step needs to know of one tensor: written once a step by prepare, read by every element.
template <class Rule>
struct TensorCoefficients {
  TensorStep step;
  Around around;
  typename Rule::Coefficients rule;
};

/// Moves one parameter and its states. Loads and stores, and how numbers lie in memory, are the sweep's.
/// kLossy: the states' format has less than 32 bits. kPlain: around is_plain(), which leaves something out
/// and changes no bit.
template <class Variant, bool kLossy, bool kPlain, class Rule, class... State>
ONEPASS_LANE void move(const TensorCoefficients<Rule>& k, float& p, float g, State&... states) {
  if constexpr (kLossy && Compressible<Variant>) Variant::expand(states...);
  const float step = Variant::update(k.rule, p, k.around.template before<kPlain>(p, g), states...);
  p = k.around.template after<kPlain>(p, step);
  if constexpr (kLossy && Compressible<Variant>) Variant::compress(states...);
}

}  // namespace onepass::rule
