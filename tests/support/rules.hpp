// rules.hpp - named options of every rule, over which most parameterised tests run.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "support/any_optimizer.hpp"

namespace onepass::test {

template <class Rule>
struct Option {
  std::string name;  ///< "momentum_coupled_maximize"
  Rule rule;
};

/// Every option of the rule, each with coupled and with decoupled weight decay, with and without `maximize`.
/// Weight decay is never zero.
std::vector<Option<SGD>> sgd_options();
std::vector<Option<RMSProp>> rmsprop_options();
std::vector<Option<Adam>> adam_options();
std::vector<Option<AdamW>> adamw_options();

/// Returns the options with an L1 penalty added to each.
template <class Rule>
std::vector<Option<Rule>> with_l1(std::vector<Option<Rule>> options, L1 mode) {
  for (Option<Rule>& option : options) {
    option.rule.l1 = 0.3;
    option.rule.l1_mode = mode;
  }
  return options;
}

/// One option of any rule, with the rule's type erased.
struct RuleCase {
  std::string name;   ///< "SGD_momentum_coupled_maximize"
  std::string rule;   ///< "SGD"
  unsigned variant;   ///< Index of the rule's variant, and so of its kernel.
  unsigned variants;  ///< Number of variants, and so of kernels, of the rule.
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;

  friend std::ostream& operator<<(std::ostream& out, const RuleCase& one) { return out << one.name; }
};

/// The options of all four rules.
std::vector<RuleCase> rule_cases();

/// One option for each variant of each rule, and so for each kernel.
std::vector<RuleCase> one_case_per_kernel();

/// One option for each kernel, with an L1 penalty in subgradient mode. Tensors with such a penalty run the
/// general loops instead of the plain ones.
std::vector<RuleCase> one_case_with_l1_per_kernel();

}  // namespace onepass::test
