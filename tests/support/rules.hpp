// rules.hpp - every option of every rule, by name: the first factor of every table of tests.
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

/// Each option of the rule, with coupled and with decoupled decay, descending and ascending; weight decay is
/// never zero.
std::vector<Option<SGD>> sgd_options();
std::vector<Option<RMSProp>> rmsprop_options();
std::vector<Option<Adam>> adam_options();
std::vector<Option<AdamW>> adamw_options();

/// Each of them with an L1 penalty.
template <class Rule>
std::vector<Option<Rule>> with_l1(std::vector<Option<Rule>> options, L1 mode) {
  for (Option<Rule>& option : options) {
    option.rule.l1 = 0.3;
    option.rule.l1_mode = mode;
  }
  return options;
}

/// An option of any rule.
struct RuleCase {
  std::string name;   ///< "SGD_momentum_coupled_maximize"
  std::string rule;   ///< "SGD"
  unsigned variant;   ///< Which kernel it takes.
  unsigned variants;  ///< How many kernels its rule has.
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;

  friend std::ostream& operator<<(std::ostream& out, const RuleCase& one) { return out << one.name; }
};

/// The four tables above, one after the other.
std::vector<RuleCase> rule_cases();

/// One option for each kernel: every variant of every rule.
std::vector<RuleCase> one_case_per_kernel();

/// The same with a penalty L1 as a subgradient: tensors with it take the loops that are not plain.
std::vector<RuleCase> one_case_with_l1_per_kernel();

}  // namespace onepass::test
