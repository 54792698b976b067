// rule_test.cpp - Rule holds any rule as a value: by name, by type, and with its hyperparameters by name.
#include "onepass/rule/rule.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

TEST(Rule, NamedReturnsTheLibrarysRuleWithItsDefaults) {
  for (const Rule& rule : library_rules()) EXPECT_EQ(Rule::named(rule.name()), rule) << rule.name();
  EXPECT_EQ(Rule::named("AdamW"), Rule(AdamW{}));
  EXPECT_EQ(Rule::named("SGD").name(), "SGD");
}

TEST(Rule, UnknownNameIsRefusedWithTheNamesThatExist) {
  const auto named = [](const char* name) { return [=] { static_cast<void>(Rule::named(name)); }; };
  for (const Rule& rule : library_rules()) {
    EXPECT_TRUE(refused(named("NoSuchRule"), {"\"NoSuchRule\"", std::string(rule.name())}));
  }
  EXPECT_TRUE(refused(named("adamw"), {"\"adamw\""}));
  EXPECT_TRUE(refused(named(""), {"\"\""}));
}

TEST(Rule, StructComesBackAsItWas) {
  const RMSProp given{.lr = 0.5, .alpha = 0.25, .epsilon = Epsilon::outside_root, .maximize = true};
  const Rule rule = given;
  EXPECT_TRUE(rule.is<RMSProp>());
  EXPECT_EQ(rule.name(), "RMSProp");
  EXPECT_EQ(rule.as<RMSProp>().lr, 0.5);
  EXPECT_EQ(rule.as<RMSProp>().alpha, 0.25);
  EXPECT_EQ(rule.as<RMSProp>().epsilon, Epsilon::outside_root);
  EXPECT_TRUE(rule.as<RMSProp>().maximize);
  EXPECT_EQ(rule, Rule(given));
}

TEST(Rule, AnotherTypeIsRefused) {
  const Rule rule = Adam{};
  EXPECT_FALSE(rule.is<AdamW>());
  EXPECT_TRUE(refused([&] { static_cast<void>(rule.as<AdamW>()); }, {"the rule is Adam,", "AdamW"}));
}

TEST(Rule, HyperparametersHaveTheNamesOfTheirMembers) {
  Rule rule = SGD{};
  rule.set("momentum", 0.75);
  rule.set("nesterov", 1.0);
  rule.set_text("weight_decay_mode", "decoupled");
  rule.set_text("lr", "0.1");
  EXPECT_EQ(rule.as<SGD>().momentum, 0.75);
  EXPECT_TRUE(rule.as<SGD>().nesterov);
  EXPECT_EQ(rule.as<SGD>().weight_decay_mode, WeightDecay::decoupled);
  EXPECT_EQ(rule.as<SGD>().lr, 0.1);
  EXPECT_EQ(rule.get("nesterov"), 1.0);
  EXPECT_EQ(rule.get("weight_decay_mode"), 1.0);
  EXPECT_EQ(rule.text("lr"), "0.1");
  EXPECT_EQ(rule.text("nesterov"), "true");
  EXPECT_EQ(rule.text("maximize"), "false");
  EXPECT_EQ(rule.text("weight_decay_mode"), "decoupled");
}

TEST(Rule, UnknownHyperparameterIsRefusedWithTheNamesThatExist) {
  for (const Rule& given : library_rules()) {
    Rule rule = given;
    const std::string name = "no_such_name", quoted = "\"no_such_name\"", full(given.name());
    EXPECT_FALSE(rule.has(name));
    for (const Hyperparameter& one : rule.hyperparameters()) {
      EXPECT_TRUE(rule.has(one.name));
      EXPECT_TRUE(refused([&] { rule.set(name, 0.5); }, {full, quoted, one.name}));
    }
    EXPECT_TRUE(refused([&] { rule.set_text(name, "0.5"); }, {full, quoted}));
    EXPECT_TRUE(refused([&] { static_cast<void>(rule.get(name)); }, {full, quoted}));
    EXPECT_TRUE(refused([&] { static_cast<void>(rule.text(name)); }, {full, quoted}));
    EXPECT_EQ(rule, given);
  }
}

/// Values and texts that a hyperparameter must not have.
struct BadValues {
  std::vector<double> numbers;
  std::vector<std::string> texts;
};

BadValues bad_values(const Hyperparameter& one) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  BadValues bad{{kNaN, -kInf}, {"", "?", "nan", "-inf"}};
  const bool is_number = one.kind == Hyperparameter::Kind::number;
  if (!is_number || !one.range.contains(kInf)) {  // a factor of growth may be infinite
    bad.numbers.push_back(kInf);
    bad.texts.emplace_back("inf");
  }
  if (is_number) {
    bad.texts.insert(bad.texts.end(), {"true", "0.5x", " 0.5", "0,5"});
  } else {
    bad.numbers.insert(bad.numbers.end(), {-1.0, 0.5});
    bad.numbers.push_back(one.kind == Hyperparameter::Kind::flag ? 2.0
                                                                 : static_cast<double>(one.choices.size()));
    bad.texts.insert(bad.texts.end(), {"2", "True"});
  }
  return bad;
}

TEST(Rule, BadValueIsRefusedByNameAndChangesNothing) {
  for (const Rule& given : library_rules()) {
    Rule rule = given;
    for (const Hyperparameter& one : rule.hyperparameters()) {
      const std::string full = std::string(given.name()) + "." + one.name;
      const BadValues bad = bad_values(one);
      for (const double value : bad.numbers) {
        EXPECT_TRUE(refused([&] { rule.set(one.name, value); }, {full + " must "})) << full << " = " << value;
      }
      for (const std::string& text : bad.texts) {
        EXPECT_TRUE(refused([&] { rule.set_text(one.name, text); }, {full + " must "}))
            << full << " = " << text;
      }
      for (const char* const choice : one.choices) {
        EXPECT_TRUE(refused([&] { rule.set_text(one.name, "?"); }, {choice, "\"?\""}));
      }
      EXPECT_EQ(rule, given);
    }
  }
}

TEST(Rule, CopiesDoNotShareTheirValues) {
  const Rule first = AdamW{};
  Rule second = first;
  second.set("beta2", 0.5);
  EXPECT_EQ(first.get("beta2"), 0.999);
  EXPECT_NE(first, second);
}

TEST(Rule, RulesOfDifferentTypesAreNotEqual) {
  const AdamW like_adam{.weight_decay = 0.0, .weight_decay_mode = WeightDecay::coupled};
  EXPECT_NE(Rule(Adam{}), Rule(like_adam));
}

TEST(Rule, CheckRefusesWhatTheStructAllows) {
  EXPECT_NO_THROW(Rule(SGD{.momentum = 0.9, .nesterov = true}).check());
  EXPECT_TRUE(refused([] { Rule(SGD{.nesterov = true}).check(); }, {"SGD", "nesterov"}));
  EXPECT_TRUE(refused([] { Rule(AdamW{.beta1 = 1.5}).check(); }, {"AdamW.beta1", "[0, 1)", "1.5"}));
  EXPECT_TRUE(refused([] { Rule(SGD{.l1_mode = static_cast<L1>(7)}).check(); }, {"SGD.l1_mode", "7"}));
}

TEST(Rule, StateNamesFollowTheHyperparameters) {
  const auto names = [](const Rule& rule) {
    return std::vector<std::string>(rule.state_names().begin(), rule.state_names().end());
  };
  Rule rule = SGD{};
  EXPECT_TRUE(names(rule).empty());
  rule.set("momentum", 0.5);
  EXPECT_EQ(names(rule), std::vector<std::string>{"momentum_buffer"});
  EXPECT_EQ(names(Adam{.amsgrad = true}),
            (std::vector<std::string>{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}));
}

}  // namespace
}  // namespace onepass::test
