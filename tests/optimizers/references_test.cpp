// references_test.cpp - every rule has a reference that knows all its hyperparameters, and options that reach
// all its kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/rule_settings.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

TEST(References, AreThoseOfTheLibraryInItsOrder) {
  std::vector<std::string> rules, references;
  for (const Rule& rule : library_rules()) rules.emplace_back(rule.name());
  for (const reference::Reference& one : reference::references()) references.emplace_back(one.name);
  EXPECT_EQ(references, rules);
}

TEST(References, ReadEveryHyperparameter) {
  for (const RuleCase& one : rule_cases()) EXPECT_NO_THROW(reference_step(one.rule)) << one.name;
}

TEST(References, OptionsReachEveryKernel) {
  for (const Rule& rule : library_rules()) {
    std::set<unsigned> variants;
    unsigned count = 0;
    for (const RuleCase& one : options_of(rule.name())) {
      variants.insert(one.variant);
      count = one.variants;
    }
    EXPECT_EQ(variants.size(), count)
        << rule.name() << ": tests/reference lists no option for one of its variants";
  }
}

TEST(References, OptionsAreValid) {
  for (const RuleCase& one : rule_cases()) EXPECT_NO_THROW(one.rule.check()) << one.name;
}

TEST(References, SettingThatIsNotReadIsNoticed) {
  reference::Settings settings = settings_of(AdamW{});
  settings.set("forgotten", 1.0);
  reference::reference_of("AdamW").make(settings);
  EXPECT_EQ(settings.unread(), std::vector<std::string>{"forgotten"});
}

TEST(References, SettingThatIsMissingOrOfAnotherKindIsRefused) {
  const reference::Settings settings = settings_of(RMSProp{});
  const auto make = [](const reference::Settings& changed) {
    reference::reference_of("RMSProp").make(changed);
  };
  EXPECT_NO_THROW(make(settings));
  EXPECT_THROW(make(settings_of(SGD{})), std::invalid_argument);
  EXPECT_THROW(make(settings.with("alpha", "inside_root")), std::invalid_argument);
  EXPECT_THROW(make(settings.with("centered", 0.5)), std::invalid_argument);
  EXPECT_THROW(make(settings.with("epsilon", "beside_root")), std::invalid_argument);
  EXPECT_THROW(make(settings.with("epsilon", 0.0)), std::invalid_argument);
}

TEST(References, UnknownRuleIsRefused) {
  EXPECT_THROW(static_cast<void>(reference::reference_of("NoSuchRule")), std::invalid_argument);
}

}  // namespace
}  // namespace onepass::test
