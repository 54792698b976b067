// rules.cpp - see rules.hpp.
#include "support/rules.hpp"

#include <set>
#include <utility>

#include "host/backend/rule_ops.hpp"
#include "support/rule_settings.hpp"

namespace onepass::test {
namespace {

std::vector<RuleCase> first_of_kernels(std::vector<RuleCase> all) {
  std::vector<RuleCase> cases;
  std::set<std::pair<std::string_view, unsigned>> seen;
  for (RuleCase& one : all) {
    if (seen.emplace(one.rule.name(), one.variant).second) cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace

RuleCase rule_case(std::string name, const Rule& rule) {
  return {.name = std::move(name),
          .rule = rule,
          .variant = rule.ops().variant(rule.bytes()),
          .variants = static_cast<unsigned>(rule.ops().variants.size())};
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

std::vector<RuleCase> one_case_per_kernel() { return first_of_kernels(rule_cases()); }

std::vector<RuleCase> one_case_with_l1_per_kernel() {
  return first_of_kernels(with_l1(rule_cases(), L1::subgradient));
}

}  // namespace onepass::test
