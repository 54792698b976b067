// hyperparameter_dict_test.cpp - state dicts hold every hyperparameter of every group, and state dicts that
// were saved before they did can still be loaded.
#include <gtest/gtest.h>

#include <cstring>

#include "support/numbers/compare.hpp"
#include "support/programs.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

/// A rule with every hyperparameter changed that does not choose the states.
Rule changed(Rule rule) {
  for (const Hyperparameter& one : rule.hyperparameters()) {
    if (one.kind != Hyperparameter::Kind::number) continue;
    const double value = rule.get(one.name);
    const std::string_view name = one.name;
    if ((name == "momentum" || name == "beta1") && value == 0.0) continue;  // it would add a state
    const double smaller = value == 0.0 ? 0.25 : value * 0.75;
    rule.set(one.name, one.range.contains(smaller) ? smaller : value * 1.25);
  }
  rule.set("maximize", 1.0 - rule.get("maximize"));
  rule.set("l1_mode", 1.0 - rule.get("l1_mode"));
  rule.set("weight_decay_mode", rule.get("weight_decay_mode") == 0.0 ? 1.0 : 0.0);
  return rule;
}

TEST(HyperparametersInDicts, AllOfThemReturn) {
  for (const RuleCase& one : one_case_per_kernel()) {
    SCOPED_TRACE(one.name);
    const std::vector<Shape> shapes{{.numel = 70}, {.numel = 9, .group = 1}};
    Model model(shapes), twin(shapes);
    const std::vector<Rule> saved{one.rule, changed(one.rule)};
    Optimizer optimizer{saved, model.parameters()};
    train_finite(model, optimizer, 3);
    Optimizer other{std::vector<Rule>{changed(one.rule), one.rule}, twin.parameters()};
    other.load_state_dict(optimizer.state_dict());
    for (std::size_t group = 0; group < 2; ++group) EXPECT_EQ(other.rule(group), saved[group]);
    for (std::size_t i = 0; i < twin.size(); ++i) twin.value(i).write(model.value(i).host());
    train_finite(model, optimizer, 3, 4);
    train_finite(twin, other, 3, 4);
    EXPECT_TRUE(equal_bits(snapshot(model.parameters(), optimizer), snapshot(twin.parameters(), other)));
  }
}

TEST(HyperparametersInDicts, DictListsEveryHyperparameterOfEveryGroup) {
  Model model({{.numel = 3}, {.numel = 3, .group = 1}});
  Optimizer optimizer{{SGD{.lr = 0.1}, AdamW{.beta2 = 0.95}}, model.parameters()};
  const StateDict dict = optimizer.state_dict();
  ASSERT_EQ(dict.groups.size(), 2u);
  EXPECT_EQ(dict.groups[0].rule, "SGD");
  EXPECT_EQ(dict.groups[1].rule, "AdamW");
  for (std::size_t group = 0; group < 2; ++group) {
    const std::span<const Hyperparameter> listed = optimizer.rule(group).hyperparameters();
    ASSERT_EQ(dict.groups[group].hyperparameters.size(), listed.size());
    for (std::size_t i = 0; i < listed.size(); ++i) {
      EXPECT_EQ(dict.groups[group].hyperparameters[i].name, listed[i].name);
      EXPECT_EQ(dict.groups[group].hyperparameters[i].value, optimizer.rule(group).text(listed[i].name));
    }
  }
  EXPECT_TRUE(dict.rule.empty());
  EXPECT_TRUE(dict.lrs.empty());
}

TEST(HyperparametersInDicts, WrongOnesAreRefusedAndNothingIsLoaded) {
  Model model(std::vector<Shape>{{.numel = 3}});
  Optimizer optimizer{SGD{.lr = 0.5, .momentum = 0.5}, model.parameters()};
  train_finite(model, optimizer, 2);
  const Snapshot before = snapshot(model.parameters(), optimizer);
  StateDict dict = optimizer.state_dict();
  std::memset(dict.parameters[0].states[0].bytes.data(), 1, 12);
  const auto with = [&](const char* name, const char* value) {
    StateDict bad = dict;
    for (SavedHyperparameter& one : bad.groups[0].hyperparameters) {
      if (one.name == "momentum") one = {name, value};
    }
    return bad;
  };
  const auto refuses = [&](const StateDict& bad, std::initializer_list<std::string> words) {
    return refused([&] { optimizer.load_state_dict(bad); }, words);
  };
  EXPECT_TRUE(refuses(with("momentum", "-1"), {"SGD.momentum", "-1"}));
  EXPECT_TRUE(refuses(with("momentum", "fast"), {"SGD.momentum", "a number", "fast"}));
  EXPECT_TRUE(refuses(with("moment", "0.5"), {"moment", "momentum, dampening"}));
  EXPECT_TRUE(refuses(with("nesterov", "maybe"), {"SGD.nesterov", "true or false", "maybe"}));
  EXPECT_TRUE(refuses(with("l1_mode", "near"), {"SGD.l1_mode", "proximal, subgradient", "near"}));
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(optimizer.rule<SGD>().momentum, 0.5);
}

TEST(HyperparametersInDicts, DictWithoutGroupsKeepsTheHyperparameters) {
  Model model(std::vector<Shape>{{.numel = 3}});
  Optimizer optimizer{Adam{.lr = 0.5}, model.parameters()};
  StateDict dict = optimizer.state_dict();
  dict.groups.clear();
  Optimizer other{Adam{.lr = 0.25}, model.parameters()};
  other.load_state_dict(dict);
  EXPECT_EQ(other.rule<Adam>().lr, 0.25);
}

SavedState buffer(float value) {
  SavedState state{.name = "momentum_buffer", .dtype = DType::float32, .bytes = std::vector<std::byte>(4)};
  std::memcpy(state.bytes.data(), &value, 4);
  return state;
}

/// A dict as optimizers saved it when all groups had one type of rule and the states that any of them needed:
/// SGD with lr 0.5 and without momentum, and with lr 0.25 and momentum 0.5, after one step with gradients of
/// 2 and 4.
StateDict old_dict() {
  StateDict dict;
  dict.rule = "SGD";
  dict.steps = 1;
  dict.lrs = {0.5, 0.25};
  dict.parameters = {{.name = "a", .step = 1, .states = {buffer(2.0f)}},
                     {.name = "b", .step = 1, .states = {buffer(4.0f)}}};
  return dict;
}

struct TwoElements {
  std::vector<float> a{1.0f}, b{1.0f}, grad_a{2.0f}, grad_b{4.0f};
  Optimizer optimizer;

  explicit TwoElements(const Rules& rules)
      : optimizer(rules, std::vector<Parameter>{{"a", std::span(a), std::span(grad_a), 0},
                                                {"b", std::span(b), std::span(grad_b), 1}}) {}
};

TEST(OldDicts, DictOfOneRuleForAllGroupsIsLoaded) {
  TwoElements two({SGD{.lr = 8.0}, SGD{.lr = 8.0, .momentum = 0.5}});
  two.optimizer.load_state_dict(old_dict());
  EXPECT_EQ(two.optimizer.rule<SGD>(0).lr, 0.5);
  EXPECT_EQ(two.optimizer.rule<SGD>(1).lr, 0.25);
  EXPECT_EQ(two.optimizer.step_count("a"), 1);
  two.optimizer.step();
  EXPECT_EQ(two.a[0], 0.0f);   // 1 - 0.5 * 2
  EXPECT_EQ(two.b[0], -0.5f);  // buf = 0.5 * 4 + 4, 1 - 0.25 * 6
}

TEST(OldDicts, DictOfAnotherRuleIsRefused) {
  TwoElements two({SGD{.lr = 8.0}, SGD{.lr = 8.0, .momentum = 0.5}});
  StateDict dict = old_dict();
  dict.rule = "RMSProp";
  EXPECT_TRUE(refused([&] { two.optimizer.load_state_dict(dict); }, {"RMSProp", "SGD"}));
  TwoElements mixed({SGD{.lr = 8.0}, AdamW{}});
  EXPECT_TRUE(refused([&] { mixed.optimizer.load_state_dict(old_dict()); }, {"momentum_buffer", "exp_avg"}));
}

TEST(OldDicts, OneGroupTakesNoFewerStates) {
  std::vector<float> p{1.0f}, gradient{2.0f};
  Optimizer optimizer{SGD{}, std::vector<Parameter>{{"a", std::span(p), std::span(gradient)}}};
  StateDict dict = old_dict();
  dict.lrs = {0.5};
  dict.parameters.pop_back();
  EXPECT_TRUE(refused([&] { optimizer.load_state_dict(dict); }, {"momentum_buffer", "none", "\"a\""}));
}

// Beside a centered group the 8 bits of square_avg hold the variance, which a group that is not centered must
// not take for it.
TEST(OldDicts, NumbersThatStandForOthersAreRefused) {
  std::vector<std::uint16_t> value(32, 0x3f80), grad(32, 0x3f80);
  const auto tensor = [](std::vector<std::uint16_t>& of) { return Tensor{of.data(), DType::bfloat16, 32}; };
  const Options compact{.storage = {.master = Master::remainder8, .states = States::quantized8}};
  const std::vector<Parameter> one{{.name = "a", .value = tensor(value), .grad = tensor(grad)}};
  Optimizer centered{RMSProp{.centered = true}, one, compact};
  centered.step();
  StateDict dict = centered.state_dict();
  dict.groups.clear();
  dict.rule = "RMSProp";
  dict.lrs = {0.5, 0.5};
  dict.schedules.clear();
  Optimizer plain{{RMSProp{}, RMSProp{.centered = true}}, one, compact};
  EXPECT_TRUE(refused([&] { plain.load_state_dict(dict); }, {"grad_avg", "\"a\""}));
}

TEST(OldDicts, StateThatTheRuleNeverHasIsRefused) {
  TwoElements two({SGD{.lr = 8.0}, SGD{.lr = 8.0, .momentum = 0.5}});
  StateDict dict = old_dict();
  dict.parameters[0].states[0].name = "exp_avg";
  EXPECT_TRUE(refused([&] { two.optimizer.load_state_dict(dict); }, {"exp_avg", "\"a\""}));
}

}  // namespace
}  // namespace onepass::test
