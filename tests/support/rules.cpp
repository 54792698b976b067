// rules.cpp - see rules.hpp.
#include "support/rules.hpp"

#include <set>
#include <utility>

namespace onepass::test {
namespace {

template <class Rule>
std::vector<Option<Rule>> with_decay_and_sign(const std::vector<Option<Rule>>& options) {
  std::vector<Option<Rule>> all;
  for (const Option<Rule>& option : options) {
    for (const WeightDecay mode : {WeightDecay::coupled, WeightDecay::decoupled}) {
      for (const bool maximize : {false, true}) {
        Option<Rule> one = option;
        one.rule.weight_decay = 0.1;
        one.rule.weight_decay_mode = mode;
        one.rule.maximize = maximize;
        one.name += mode == WeightDecay::coupled ? "_coupled" : "_decoupled";
        if (maximize) one.name += "_maximize";
        all.push_back(one);
      }
    }
  }
  return all;
}

template <class Rule>
void append_cases(std::vector<RuleCase>& cases, const std::vector<Option<Rule>>& options) {
  for (const Option<Rule>& option : options) {
    cases.push_back(
        {.name = std::string(Rule::kName) + "_" + option.name,
         .rule = Rule::kName,
         .variant = option.rule.variant(),
         .variants = Rule::Variants::kCount,
         .make = [rule = option.rule](const std::vector<Parameter>& parameters, const Options& how) {
           return make_optimizer(rule, parameters, how);
         }});
  }
}

std::vector<RuleCase> first_of_kernels(std::vector<RuleCase> all) {
  std::vector<RuleCase> cases;
  std::set<std::pair<std::string, unsigned>> seen;
  for (RuleCase& one : all) {
    if (seen.emplace(one.rule, one.variant).second) cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace

std::vector<Option<SGD>> sgd_options() {
  return with_decay_and_sign<SGD>({
      {"plain", {.lr = 0.01}},
      {"momentum", {.lr = 0.01, .momentum = 0.9}},
      {"dampening", {.lr = 0.01, .momentum = 0.9, .dampening = 0.3}},
      {"nesterov", {.lr = 0.01, .momentum = 0.9, .nesterov = true}},
  });
}

std::vector<Option<RMSProp>> rmsprop_options() {
  std::vector<Option<RMSProp>> options;
  for (const Epsilon epsilon : {Epsilon::inside_root, Epsilon::outside_root}) {
    const std::string where = epsilon == Epsilon::inside_root ? "_inside" : "_outside";
    const RMSProp plain{.lr = 0.003, .alpha = 0.95, .eps = 1e-6, .epsilon = epsilon};
    RMSProp centered = plain;
    centered.centered = true;
    RMSProp momentum = plain;
    momentum.momentum = 0.8;
    RMSProp both = centered;
    both.momentum = 0.8;
    options.push_back({"plain" + where, plain});
    options.push_back({"centered" + where, centered});
    options.push_back({"momentum" + where, momentum});
    options.push_back({"centered_momentum" + where, both});
  }
  return with_decay_and_sign(options);
}

std::vector<Option<Adam>> adam_options() {
  return with_decay_and_sign<Adam>({{"plain", {.lr = 0.002}}, {"amsgrad", {.lr = 0.002, .amsgrad = true}}});
}

std::vector<Option<AdamW>> adamw_options() {
  return with_decay_and_sign<AdamW>({{"plain", {.lr = 0.002}}, {"amsgrad", {.lr = 0.002, .amsgrad = true}}});
}

std::vector<RuleCase> rule_cases() {
  std::vector<RuleCase> cases;
  append_cases(cases, sgd_options());
  append_cases(cases, rmsprop_options());
  append_cases(cases, adam_options());
  append_cases(cases, adamw_options());
  return cases;
}

std::vector<RuleCase> one_case_per_kernel() { return first_of_kernels(rule_cases()); }

std::vector<RuleCase> one_case_with_l1_per_kernel() {
  std::vector<RuleCase> cases;
  append_cases(cases, with_l1(sgd_options(), L1::subgradient));
  append_cases(cases, with_l1(rmsprop_options(), L1::subgradient));
  append_cases(cases, with_l1(adam_options(), L1::subgradient));
  append_cases(cases, with_l1(adamw_options(), L1::subgradient));
  return first_of_kernels(std::move(cases));
}

}  // namespace onepass::test
