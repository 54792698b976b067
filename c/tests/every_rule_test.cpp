// every_rule_test.cpp - the C interface takes the steps of the library, with every rule and hyperparameter.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"
#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 3;

void step(const Handle& optimizer) {
  EXPECT_EQ(onepass_step(optimizer.get(), nullptr), ONEPASS_OK) << onepass_last_error();
}

/// Returns the bits after some steps of the library.
std::vector<std::uint32_t> steps_of_library(const std::vector<Rule>& rules) {
  Model model;
  Optimizer optimizer(rules, model.parameters(rules.size()));
  for (int i = 0; i < kSteps; ++i) {
    model.set_gradients(i);
    optimizer.step();
  }
  return model.bits();
}

/// Returns the bits after the same steps of the C interface.
std::vector<std::uint32_t> steps_of_interface(const std::vector<Rule>& rules, Settings::As as) {
  Model model;
  std::vector<Settings> settings;
  std::vector<onepass_group> groups;
  for (const Rule& rule : rules) settings.emplace_back(rule, as);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    groups.push_back(group_of(rules[i].name().data(), settings[i].all()));
  }
  const Handle optimizer = create(groups, model.tensors(static_cast<int>(rules.size())));
  for (int i = 0; i < kSteps; ++i) {
    model.set_gradients(i);
    step(optimizer);
  }
  return model.bits();
}

class EveryRule : public testing::TestWithParam<Rule> {};

INSTANTIATE_TEST_SUITE_P(Library, EveryRule,
                         testing::ValuesIn(library_rules().begin(), library_rules().end()),
                         [](const auto& tested) { return std::string(tested.param.name()); });

TEST_P(EveryRule, IsListedWithItsHyperparameters) {
  const Rule& rule = GetParam();
  const std::string name(rule.name());
  std::int32_t count = 0;
  ASSERT_EQ(onepass_hyperparameter_count(name.c_str(), &count), ONEPASS_OK);
  ASSERT_EQ(static_cast<std::size_t>(count), rule.hyperparameters().size());
  for (std::int32_t i = 0; i < count; ++i) {
    const Hyperparameter& expected = rule.hyperparameters()[static_cast<std::size_t>(i)];
    onepass_hyperparameter_info info{.size = sizeof info};
    ASSERT_EQ(onepass_hyperparameter(name.c_str(), i, &info), ONEPASS_OK);
    EXPECT_STREQ(info.name, expected.name);
    EXPECT_STREQ(info.meaning, expected.meaning);
    EXPECT_EQ(info.default_value, rule.get(expected.name));
    const bool is_number = expected.kind == Hyperparameter::Kind::number;
    const bool is_flag = expected.kind == Hyperparameter::Kind::flag;
    EXPECT_EQ(info.kind, is_number ? ONEPASS_NUMBER : is_flag ? ONEPASS_FLAG : ONEPASS_CHOICE);
    EXPECT_STREQ(info.interval, is_number ? expected.range.interval : "");
    ASSERT_EQ(static_cast<std::size_t>(info.choice_count), expected.choices.size());
    EXPECT_EQ(info.choices == nullptr, expected.choices.empty());
    for (std::size_t k = 0; k < expected.choices.size(); ++k) {
      EXPECT_STREQ(info.choices[k], expected.choices[k]);
    }
  }
}

TEST_P(EveryRule, IsListedWithItsPresets) {
  const std::string name(GetParam().name());
  std::int32_t count = -1;
  ASSERT_EQ(onepass_preset_count(name.c_str(), &count), ONEPASS_OK);
  ASSERT_EQ(static_cast<std::size_t>(count), GetParam().presets().size());
  for (std::int32_t i = 0; i < count; ++i) {
    const Preset& expected = GetParam().presets()[static_cast<std::size_t>(i)];
    onepass_preset_info info{.size = sizeof info};
    ASSERT_EQ(onepass_preset(name.c_str(), i, &info), ONEPASS_OK);
    EXPECT_STREQ(info.name, expected.name);
    EXPECT_STREQ(info.meaning, expected.meaning);
  }
}

TEST_P(EveryRule, HasTheSettingsAndTheBitsOfItsPresetsByName) {
  for (const Preset& preset : GetParam().presets()) {
    const Rule rule = GetParam().preset(preset.name);
    const std::string name = std::string(rule.name()) + "." + preset.name;
    for (std::size_t i = 0; i < rule.hyperparameters().size(); ++i) {
      onepass_hyperparameter_info info{.size = sizeof info};
      ASSERT_EQ(onepass_hyperparameter(name.c_str(), static_cast<std::int32_t>(i), &info), ONEPASS_OK);
      EXPECT_EQ(info.default_value, rule.get(info.name)) << name << " " << info.name;
    }
    Model model;
    const Handle optimizer = create({group_of(name.c_str())}, model.tensors());
    for (int i = 0; i < kSteps; ++i) {
      model.set_gradients(i);
      step(optimizer);
    }
    EXPECT_EQ(model.bits(), steps_of_library({rule})) << name;
  }
}

TEST_P(EveryRule, HasTheBitsOfTheLibraryWithDefaults) {
  Model model;
  const std::string name(GetParam().name());
  const Handle optimizer = create({group_of(name.c_str())}, model.tensors());
  for (int i = 0; i < kSteps; ++i) {
    model.set_gradients(i);
    step(optimizer);
  }
  EXPECT_EQ(model.bits(), steps_of_library({GetParam()}));
}

TEST_P(EveryRule, HasTheBitsOfTheLibraryWithEveryHyperparameterChanged) {
  const Rule& defaults = GetParam();
  for (std::size_t kept = 0; kept < defaults.hyperparameters().size(); ++kept) {
    const char* const name = defaults.hyperparameters()[kept].name;
    const Rule rule = with_changes(defaults, kept);
    ASSERT_TRUE(is_accepted(rule)) << name;
    ASSERT_NE(rule.get(name), defaults.get(name)) << name;
    const std::vector<std::uint32_t> expected = steps_of_library({rule});
    EXPECT_EQ(steps_of_interface({rule}, Settings::As::number), expected) << name;
    EXPECT_EQ(steps_of_interface({rule}, Settings::As::text), expected) << name;
  }
}

TEST_P(EveryRule, StandsBesideEveryOtherRule) {
  const Rule first = with_changes(GetParam(), 0);
  for (const Rule& other : library_rules()) {
    const std::vector<Rule> rules{first, other};
    EXPECT_EQ(steps_of_interface(rules, Settings::As::number), steps_of_library(rules)) << other.name();
  }
}

TEST_P(EveryRule, ChangesEachHyperparameterAsTheLibraryDoes) {
  const Rule& defaults = GetParam();
  const std::vector<Rule> rules{SGD{}, defaults};
  const std::string name(defaults.name());
  Model own, expected;
  const Handle optimizer = create({group_of("SGD"), group_of(name.c_str())}, own.tensors(2));
  Optimizer library(rules, expected.parameters(2));
  for (std::size_t i = 0; i < defaults.hyperparameters().size(); ++i) {
    const char* const changed = defaults.hyperparameters()[i].name;
    const double value = other_value(defaults, i);
    std::string expected_refusal;
    try {
      Rule rule = library.rule(1);
      rule.set(changed, value);
      library.set_rule(rule, 1);
    } catch (const InvalidArgument& error) {
      expected_refusal = error.what();
    }
    EXPECT_EQ(refusal(onepass_set(optimizer.get(), 1, changed, value, nullptr)), expected_refusal);

    double read = 0.0;
    ASSERT_EQ(onepass_get(optimizer.get(), 1, changed, &read), ONEPASS_OK);
    EXPECT_EQ(read, library.rule(1).get(changed)) << changed;
    own.set_gradients(static_cast<int>(i));
    expected.set_gradients(static_cast<int>(i));
    step(optimizer);
    library.step();
    EXPECT_EQ(own.bits(), expected.bits()) << changed;
  }
}

TEST(CInterface, ListsTheRulesOfTheLibrary) {
  ASSERT_EQ(static_cast<std::size_t>(onepass_rule_count()), library_rules().size());
  for (std::int32_t i = 0; i < onepass_rule_count(); ++i) {
    EXPECT_EQ(onepass_rule_name(i), library_rules()[static_cast<std::size_t>(i)].name());
  }
}

TEST(CInterface, SetsSeveralHyperparametersAtOnceOrNone) {
  Model model;
  const std::vector<onepass_setting> made{{"momentum", 0.9, nullptr}, {"dampening", 0.1, nullptr}};
  const Handle optimizer = create({group_of("SGD", made)}, model.tensors());
  const auto get = [&](const char* name) {
    double value = -1.0;
    EXPECT_EQ(onepass_get(optimizer.get(), 0, name, &value), ONEPASS_OK);
    return value;
  };
  const std::vector<onepass_setting> wrong{{"lr", 0.5, nullptr}, {"momentum", 0.0, "much"}};
  EXPECT_EQ(onepass_set_several(optimizer.get(), 0, wrong.data(), 2, nullptr), ONEPASS_INVALID_ARGUMENT);
  EXPECT_STREQ(onepass_last_error(), "onepass: SGD.momentum must be a number, but is \"much\"");
  EXPECT_EQ(get("lr"), SGD{}.lr);

  EXPECT_EQ(onepass_set(optimizer.get(), 0, "nesterov", 1.0, nullptr), ONEPASS_INVALID_ARGUMENT);
  const std::vector<onepass_setting> right{
      {"nesterov", 0.0, "true"}, {"dampening", 0.0, nullptr}, {"lr", 0.5, nullptr}, {"lr", 0.25, nullptr}};
  EXPECT_EQ(onepass_set_several(optimizer.get(), 0, right.data(), 4, nullptr), ONEPASS_OK);
  EXPECT_EQ(get("nesterov"), 1.0);
  EXPECT_EQ(get("dampening"), 0.0);
  EXPECT_EQ(get("lr"), 0.25);  // the later one counts
  EXPECT_EQ(onepass_set_several(optimizer.get(), 0, nullptr, 0, nullptr), ONEPASS_OK);
}

}  // namespace
}  // namespace onepass::test
