// rules.hpp - the measured rules, by name.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "bench/cases/formats.hpp"
#include "bench/cases/plain_rules.hpp"
#include "onepass/rule/rule.hpp"

namespace onepass::bench {

/// A hand-written step of one element.
struct PlainStep {
  std::string_view name;  ///< The measured rule: "rmsprop_centered".
  int states;
  unsigned nonnegative;  ///< Bit s is set if state s is never negative; such states have their own codec.
  bool keeps_variance;   ///< 16- and 8-bit formats store the first state less the square of the second.
  plain::Numbers (*numbers)(int t);
  void (*move)(const plain::Numbers& k, float& p, float g, float* states);
};

/// Returns the steps of SGD without and with momentum, RMSProp, centered RMSProp, Adam, AMSGrad and AdamW.
/// The tables of loops have this order.
std::span<const PlainStep> plain_steps();

struct RuleChoice {
  std::string name;  ///< "rmsprop_centered"
  Rule rule;
  /// The hand-written step with the same hyperparameters: the reference of the checks, and a baseline. Null
  /// if there is none; a second optimizer then takes the reference steps (check/second_optimizer.hpp).
  const PlainStep* by_hand = nullptr;

  /// Returns what steps are compared with before they are timed: "the step by hand" or "the step of a second
  /// optimizer".
  [[nodiscard]] std::string_view reference() const;
  [[nodiscard]] int states() const { return static_cast<int>(rule.state_names().size()); }
};

/// Returns whether the benchmark measures a rule in a format. It does not where the format narrows some
/// states of the rule and others stay float32: the limit moves states of one size.
bool is_measured(const RuleChoice& rule, const FormatChoice& format);

/// Returns every rule of library_rules() that takes no sums over tensors, in that order, each followed by its
/// presets that have a hand-written step. A rule without a hand-written step has its default hyperparameters.
std::span<const RuleChoice> rule_choices();

}  // namespace onepass::bench
