// conformance.hpp - what every optimizer must show against its float64 reference, written once.
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

/// An option of a rule beside its reference.
struct Subject {
  std::string name;
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;
  /// Step t of one tensor.
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

/// ONEPASS_INSTANTIATE_CONFORMANCE(Adam, adam_options()) runs all of it.
class Conformance : public testing::TestWithParam<Subject> {};

/// The same for subjects with L1::proximal, of which no two results are further apart than their arguments.
class ProximalConformance : public testing::TestWithParam<Subject> {};

/// The same with L1::subgradient, less the 200 steps: sign(p) jumps at 0, so that no bound of the distance
/// after many steps can be derived.
class SubgradientConformance : public testing::TestWithParam<Subject> {};

inline std::string subject_name(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

/// All three, for every option of a rule with every decay, sign and kind of L1.
#define ONEPASS_INSTANTIATE_CONFORMANCE(Rule, options)                                                 \
  INSTANTIATE_TEST_SUITE_P(Rule, Conformance, testing::ValuesIn(subjects(options)), subject_name);     \
  INSTANTIATE_TEST_SUITE_P(Rule, ProximalConformance,                                                  \
                           testing::ValuesIn(subjects(with_l1(options, L1::proximal))), subject_name); \
  INSTANTIATE_TEST_SUITE_P(Rule, SubgradientConformance,                                               \
                           testing::ValuesIn(subjects(with_l1(options, L1::subgradient))), subject_name)

}  // namespace onepass::test
