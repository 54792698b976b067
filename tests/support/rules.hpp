// rules.hpp - named options of every rule, over which most parameterised tests run.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

/// A rule with certain hyperparameters.
struct RuleCase {
  std::string name;  ///< "SGD_momentum_coupled_maximize"
  Rule rule;
  unsigned variant;   ///< Index of the rule's variant, and so of its kernel.
  unsigned variants;  ///< Number of variants, and so of kernels, that the rule has for vectors.

  [[nodiscard]] Optimizer make(const std::vector<Parameter>& parameters, const Options& options = {}) const {
    return {rule, parameters, options};
  }

  /// Returns whether the step of a parameter follows from the others too.
  [[nodiscard]] bool ties_parameters() const;

  friend std::ostream& operator<<(std::ostream& out, const RuleCase& one) { return out << one.name; }
};

/// Returns the case of a rule.
RuleCase rule_case(std::string name, const Rule& rule);

/// Every option of a rule that its reference lists, each with coupled and with decoupled weight decay, with
/// and without `maximize`. Weight decay is never zero. The names do not contain the rule's:
/// "momentum_coupled_maximize".
std::vector<RuleCase> options_of(std::string_view rule);

/// Returns the cases with an L1 penalty added to each.
std::vector<RuleCase> with_l1(std::vector<RuleCase> cases, L1 mode);

/// The options of all rules of the library, in its order.
std::vector<RuleCase> rule_cases();

/// Every option of every rule once, with weight decay and sign in rotation: for what depends on neither.
std::vector<RuleCase> rule_options();

/// One option for each variant of each rule, and so for each kernel.
std::vector<RuleCase> one_case_per_kernel();

/// One option for each layout of states: how many there are, which of them are never negative or stay
/// float32, whether narrow formats store other numbers, and how many scalars there are. Storage, shards,
/// checkpoints and given memory know nothing else of a rule. onepass_bits takes every rule through every
/// storage.
std::vector<RuleCase> one_case_per_layout();

/// The option of the last kernel of a rule: for AdamW, the one with AMSGrad.
RuleCase last_case_of(std::string_view rule);

/// One option for each kernel, with an L1 penalty in subgradient mode. Tensors with such a penalty run the
/// general loops instead of the plain ones.
std::vector<RuleCase> one_case_with_l1_per_kernel();

}  // namespace onepass::test
