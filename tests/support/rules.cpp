// rules.cpp - see rules.hpp.
#include "support/rules.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "host/backend/rule_ops.hpp"
#include "support/rule_settings.hpp"

namespace onepass::test {
namespace {

/// rule_cases() lists this many combinations of weight decay and sign for each option of a rule.
constexpr std::size_t kDecaysAndSigns = 4;

std::vector<RuleCase> first_of_kernels(std::vector<RuleCase> all) {
  std::vector<RuleCase> cases;
  std::set<std::pair<std::string_view, unsigned>> seen;
  for (RuleCase& one : all) {
    if (seen.emplace(one.rule.name(), one.variant).second) cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace

bool RuleCase::ties_parameters() const { return rule.ops().sums_over_model; }

RuleCase rule_case(std::string name, const Rule& rule) {
  return {
      .name = std::move(name),
      .rule = rule,
      .variant = rule.ops().variant(rule.bytes()),
      .variants = static_cast<unsigned>(rule.ops().variants.size()) / (rule.ops().matrix_bit != 0 ? 2 : 1)};
}

std::vector<RuleCase> options_of(std::string_view rule) {
  std::vector<RuleCase> cases;
  for (const reference::Option& option : reference::reference_of(rule).options()) {
    Rule one = rule_with(rule, option.settings);
    one.set("weight_decay", 0.1);
    for (const char* const mode : {"coupled", "decoupled"}) {
      one.set_text("weight_decay_mode", mode);
      for (const bool maximize : {false, true}) {
        one.set("maximize", maximize ? 1.0 : 0.0);
        cases.push_back(rule_case(option.name + "_" + mode + (maximize ? "_maximize" : ""), one));
      }
    }
  }
  return cases;
}

std::vector<RuleCase> with_l1(std::vector<RuleCase> cases, L1 mode) {
  for (RuleCase& one : cases) {
    one.rule.set("l1", 0.3);
    one.rule.set("l1_mode", static_cast<double>(mode));
  }
  return cases;
}

std::vector<RuleCase> rule_cases() {
  std::vector<RuleCase> cases;
  for (const Rule& rule : library_rules()) {
    for (RuleCase& one : options_of(rule.name())) {
      one.name = std::string(rule.name()) + "_" + one.name;
      cases.push_back(std::move(one));
    }
  }
  return cases;
}

std::vector<RuleCase> rule_options() {
  std::vector<RuleCase> options;
  const std::vector<RuleCase> all = rule_cases();
  for (std::size_t option = 0; kDecaysAndSigns * option < all.size(); ++option) {
    options.push_back(all[kDecaysAndSigns * option + option % kDecaysAndSigns]);
  }
  return options;
}

std::vector<RuleCase> one_case_per_layout() {
  using Layout = std::tuple<std::size_t, unsigned, unsigned, bool, std::size_t>;
  std::vector<RuleCase> cases;
  std::set<Layout> seen;
  for (RuleCase& one : one_case_per_kernel()) {
    const VariantOps& variant = one.rule.ops().variants[one.variant];
    const Layout layout{variant.states.size(), variant.nonnegative, variant.float32,
                        variant.compress != nullptr, variant.scalars.size()};
    if (seen.insert(layout).second) cases.push_back(std::move(one));
  }
  return cases;
}

RuleCase last_case_of(std::string_view rule) {
  const std::vector<RuleCase> cases = one_case_per_kernel();
  return *std::find_if(cases.rbegin(), cases.rend(),
                       [&](const RuleCase& one) { return one.rule.name() == rule; });
}

std::vector<RuleCase> one_case_per_kernel() { return first_of_kernels(rule_cases()); }

std::vector<RuleCase> one_case_with_l1_per_kernel() {
  return first_of_kernels(with_l1(rule_cases(), L1::subgradient));
}

}  // namespace onepass::test
