// conformance.hpp - what every optimizer must show against its float64 reference, written once.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "reference/shared.hpp"
#include "support/model.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// An option of a rule beside its reference.
struct Subject {
  std::string name;
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;
  /// Step t of one tensor.
  std::function<void(std::int64_t t, std::span<reference::Element>, std::span<const float> gradient)>
      reference;

  friend std::ostream& operator<<(std::ostream& out, const Subject& subject) { return out << subject.name; }
};

/// Pairs each option with what `to_reference` makes of its hyperparameters.
template <class Rule, class ToReference>
std::vector<Subject> subjects(const std::vector<Option<Rule>>& options, ToReference to_reference) {
  std::vector<Subject> all;
  for (const Option<Rule>& option : options) {
    all.push_back(
        {.name = option.name,
         .make = [rule = option.rule](const std::vector<Parameter>& parameters,
                                      const Options& how) { return make_optimizer(rule, parameters, how); },
         .reference = [wanted = to_reference(option.rule)](
                          std::int64_t t, std::span<reference::Element> elements,
                          std::span<const float> gradient) { wanted.step(t, elements, gradient); }});
  }
  return all;
}

template <class Rule>
reference::Shared shared_reference(const Rule& rule) {
  return {.lr = rule.lr,
          .weight_decay = rule.weight_decay,
          .decoupled = rule.weight_decay_mode == WeightDecay::decoupled,
          .maximize = rule.maximize};
}

/// INSTANTIATE_TEST_SUITE_P(Adam, Conformance, testing::ValuesIn(subjects), subject_name) runs all of it.
class Conformance : public testing::TestWithParam<Subject> {};

inline std::string subject_name(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

}  // namespace onepass::test
