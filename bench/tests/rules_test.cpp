// rules_test.cpp - the table of measured rules follows the library's list.
#include "bench/cases/rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::bench {
namespace {

const RuleChoice* find(std::string_view name) {
  const auto found = std::ranges::find(rule_choices(), name, &RuleChoice::name);
  return found == rule_choices().end() ? nullptr : &*found;
}

// The limit moves each stream once, and a rule that takes sums over tensors reads some twice.
TEST(RuleChoices, EveryRuleOfTheLibraryOfOnePassIsMeasured) {
  std::vector<std::string_view> others;
  for (const Rule& rule : library_rules()) {
    const auto is_of = [&](const RuleChoice& choice) { return choice.rule.name() == rule.name(); };
    if (std::ranges::none_of(rule_choices(), is_of)) others.push_back(rule.name());
  }
  EXPECT_EQ(others, (std::vector<std::string_view>{"LARS", "LAMB", "NovoGrad", "StableAdamW", "MARS",
                                                   "Prodigy", "Adafactor", "CAME", "AdamMini"}));
}

TEST(RuleChoices, NamesAreDistinct) {
  std::set<std::string> names;
  for (const RuleChoice& choice : rule_choices()) names.insert(choice.name);
  EXPECT_EQ(names.size(), rule_choices().size());
}

TEST(RuleChoices, EveryHandWrittenStepBelongsToARuleWithItsStates) {
  for (const PlainStep& step : plain_steps()) {
    const RuleChoice* const choice = find(step.name);
    ASSERT_NE(choice, nullptr) << step.name;
    EXPECT_EQ(choice->by_hand, &step);
    EXPECT_EQ(choice->states(), step.states) << step.name;
  }
}

TEST(RuleChoices, PresetsHaveTheHyperparametersOfTheHandWrittenSteps) {
  EXPECT_EQ(find("momentum")->rule, Rule(SGD{.lr = plain::kLr, .momentum = plain::kMomentum}));
  EXPECT_EQ(find("rmsprop_centered")->rule,
            Rule(RMSProp{.lr = plain::kLr, .alpha = plain::kAlpha, .eps = plain::kEps, .centered = true}));
  EXPECT_EQ(find("amsgrad")->rule, Rule(Adam{.lr = plain::kLr,
                                             .beta1 = plain::kBeta1,
                                             .beta2 = plain::kBeta2,
                                             .eps = plain::kEps,
                                             .amsgrad = true}));
  EXPECT_EQ(find("adamw")->rule, Rule(AdamW{.lr = plain::kLr,
                                            .beta1 = plain::kBeta1,
                                            .beta2 = plain::kBeta2,
                                            .eps = plain::kEps,
                                            .weight_decay = plain::kDecay}));
}

}  // namespace
}  // namespace onepass::bench
