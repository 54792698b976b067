// conformance.hpp - tests, written once for all rules, that a rule agrees with its float64 reference.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "optimizers/to_reference.hpp"
#include "support/model.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// One option of a rule, with its reference.
struct Subject {
  std::string name;
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;
  /// Runs step t of one tensor in float64.
  std::function<void(std::int64_t t, std::span<reference::Element>, std::span<const reference::Number>)>
      reference;

  friend std::ostream& operator<<(std::ostream& out, const Subject& subject) { return out << subject.name; }
};

/// Pairs each option with its reference.
template <class Rule>
std::vector<Subject> subjects(const std::vector<Option<Rule>>& options) {
  std::vector<Subject> all;
  for (const Option<Rule>& option : options) {
    all.push_back(
        {.name = option.name,
         .make = [rule = option.rule](const std::vector<Parameter>& parameters,
                                      const Options& how) { return make_optimizer(rule, parameters, how); },
         .reference =
             [wanted = to_reference(option.rule)](std::int64_t t, std::span<reference::Element> elements,
                                                  std::span<const reference::Number> gradient) {
               wanted.step(t, elements, gradient);
             }});
  }
  return all;
}

/// Subjects without L1. ONEPASS_INSTANTIATE_CONFORMANCE(Adam, adam_options()) instantiates all suites.
class Conformance : public testing::TestWithParam<Subject> {};

/// The same tests for subjects with L1::proximal. Its operator never moves two numbers further apart, so the
/// bound after 200 steps still holds.
class ProximalConformance : public testing::TestWithParam<Subject> {};

/// The same tests with L1::subgradient, except the one of 200 steps: sign(p) jumps at 0, so no bound of the
/// distance after many steps can be derived.
class SubgradientConformance : public testing::TestWithParam<Subject> {};

inline std::string subject_name(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

/// Instantiates all three suites for every option of a rule, with every decay, sign and kind of L1.
#define ONEPASS_INSTANTIATE_CONFORMANCE(Rule, options)                                                 \
  INSTANTIATE_TEST_SUITE_P(Rule, Conformance, testing::ValuesIn(subjects(options)), subject_name);     \
  INSTANTIATE_TEST_SUITE_P(Rule, ProximalConformance,                                                  \
                           testing::ValuesIn(subjects(with_l1(options, L1::proximal))), subject_name); \
  INSTANTIATE_TEST_SUITE_P(Rule, SubgradientConformance,                                               \
                           testing::ValuesIn(subjects(with_l1(options, L1::subgradient))), subject_name)

}  // namespace onepass::test
