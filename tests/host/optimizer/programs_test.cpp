// programs_test.cpp - groups of different rules in one optimizer: how they are written, and that each moves
// as it would if all groups had its rule, with one norm, one loss scaler, one skip and one accumulation for
// all.
#include <gtest/gtest.h>

#include "support/numbers/compare.hpp"
#include "support/programs.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

const std::vector<Shape> kTwoGroups{{.numel = 70}, {.numel = 9, .group = 1}};

/// Expects an optimizer with rules of these names.
void expect_rules(const Optimizer& optimizer, const std::vector<std::string>& names) {
  ASSERT_EQ(optimizer.group_count(), names.size());
  for (std::size_t group = 0; group < names.size(); ++group)
    EXPECT_EQ(optimizer.rule(group).name(), names[group]);
}

TEST(Programs, RulesOfAllGroupsCanBeWrittenAsOneRuleAListOrAVector) {
  const Model one(std::vector<Shape>{{.numel = 70}}), two(kTwoGroups);
  const std::vector<Parameter> single = one.parameters(), pair = two.parameters();
  const Options options{.threads = 1};
  const SGD sgd{.lr = 0.5};
  const Rule rule = AdamW{};
  expect_rules(Optimizer{sgd, single}, {"SGD"});
  expect_rules(Optimizer{sgd, single, options}, {"SGD"});
  expect_rules(Optimizer{rule, single}, {"AdamW"});
  expect_rules(Optimizer{rule, single, options}, {"AdamW"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}}, single}, {"SGD"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}}, single, {.threads = 1}}, {"SGD"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}, SGD{}}, pair}, {"SGD", "SGD"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}, SGD{}}, pair, options}, {"SGD", "SGD"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}, AdamW{}}, pair}, {"SGD", "AdamW"});
  expect_rules(Optimizer{{SGD{.lr = 0.5}, AdamW{}}, pair, options}, {"SGD", "AdamW"});
  expect_rules(Optimizer{std::vector<Adam>{{.lr = 0.5}, {}}, pair}, {"Adam", "Adam"});
  expect_rules(Optimizer{std::vector{sgd, sgd}, pair, options}, {"SGD", "SGD"});
  expect_rules(Optimizer{std::vector<Rule>{sgd, rule}, pair}, {"SGD", "AdamW"});
  expect_rules(Optimizer{std::vector<Rule>{sgd, rule}, pair, options}, {"SGD", "AdamW"});
  Optimizer optimizer{{SGD{.lr = 0.5}, AdamW{}}, pair};
  EXPECT_EQ(optimizer.rule<SGD>().lr, 0.5);
}

TEST(Programs, ParametersHaveTheStatesOfTheirOwnGroup) {
  Model model(kTwoGroups);
  Optimizer optimizer{{SGD{}, SGD{.momentum = 0.9}}, model.parameters()};
  EXPECT_TRUE(optimizer.state_names("t0").empty());
  ASSERT_EQ(optimizer.state_names("t1").size(), 1u);
  EXPECT_STREQ(optimizer.state_names("t1")[0], "momentum_buffer");
  EXPECT_EQ(optimizer.state_names().size(), 1u);
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.state("t0", "momentum_buffer")); },
                      {"momentum_buffer", "none"}));
  double buffers = 0;
  for (const StreamBytes& stream : optimizer.memory()) {
    if (stream.name == "momentum_buffer") buffers += stream.bytes;
  }
  EXPECT_EQ(buffers, 9.0 * sizeof(float));
}

/// Trains with all rules side by side, and with each rule for all groups, under one handling of gradients:
/// the gradients are the same, so the norms are, and each group must have the bits that it has under its rule
/// alone.
void expect_groups_move_as_alone(const GradientHandling& handling, const Options& options, bool poisoned) {
  const std::vector<Rule> rules = mixed_rules();
  const std::vector<Shape> shapes = interleaved_shapes(rules.size());
  const auto trained = [&](Model& model, const Rules& with) {
    Optimizer optimizer{with, model.parameters(), options};
    optimizer.set_gradient_handling(handling);
    for (int step = 1; step <= 6; ++step) {
      for (int batch = 0; batch < (options.accumulates_gradients ? 2 : 1); ++batch) {
        const int number = 2 * step + batch;
        poisoned ? model.draw_gradients(number, 30) : model.draw_finite_gradients(number);
        if (options.accumulates_gradients) optimizer.accumulate();
      }
      optimizer.step();
    }
    Snapshot all = snapshot(model.parameters(), optimizer);
    all["norm"] = {static_cast<float>(optimizer.grad_norm()), optimizer.loss_scale(),
                   static_cast<float>(optimizer.steps()), static_cast<float>(optimizer.skipped_steps())};
    EXPECT_TRUE(model.intact());
    return all;
  };
  Model mixed(shapes);
  Snapshot actual = trained(mixed, rules);
  const std::vector<float> counts = actual.at("norm");
  actual.erase("norm");
  for (std::size_t group = 0; group < rules.size(); ++group) {
    SCOPED_TRACE("group " + std::to_string(group));
    Model alone(in_one_group(shapes));
    Snapshot wanted = trained(alone, rules[group]);
    EXPECT_TRUE(equal_bits(wanted.at("norm"), counts));
    wanted.erase("norm");
    EXPECT_TRUE(equal_bits(of_group(wanted, shapes, group), of_group(actual, shapes, group)));
  }
}

TEST(Programs, EachGroupMovesByItsOwnRule) { expect_groups_move_as_alone({}, {}, true); }

TEST(Programs, GroupsAreClippedByOneNorm) {
  expect_groups_move_as_alone({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .clip_value = 0.01}, {}, false);
}

TEST(Programs, GroupsAreSkippedAndScaledTogether) {
  expect_groups_move_as_alone({.loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 2}}, {}, true);
}

TEST(Programs, GroupsAccumulateTogether) {
  expect_groups_move_as_alone({.clip_norm = ClipGradNorm{.max_norm = 0.5}}, {.accumulates_gradients = true},
                              false);
}

TEST(Programs, GroupsFollowWithAveragesOnSeveralThreads) {
  expect_groups_move_as_alone({.zero_grad = true}, {.chunk_size = 64, .threads = 2, .ema = EMA{}}, true);
}

TEST(Programs, GradientOfOneGroupThatIsNotFiniteSkipsAllGroups) {
  Model model(kTwoGroups);
  Optimizer optimizer{{SGD{}, AdamW{}}, model.parameters()};
  optimizer.set_nonfinite(NonFinite::error);
  model.draw_finite_gradients(1);
  model.grad(1).host()[3] = std::numeric_limits<float>::infinity();
  const Snapshot before = snapshot(model.parameters(), optimizer);
  optimizer.step();
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(optimizer.skipped_steps(), 1);
  EXPECT_THROW(optimizer.check(), NonFiniteGradient);
}

TEST(Programs, SchedulesBelongToGroupsOfAnyRule) {
  Model model(kTwoGroups), twin(kTwoGroups);
  Optimizer optimizer{{SGD{.lr = 1.0, .momentum = 0.9}, AdamW{.lr = 1.0}}, model.parameters()};
  optimizer.set_schedule(StepLR{.step_size = 1, .gamma = 0.5}, 1);
  optimizer.set_schedule(OneCycleLR{.max_lr = 1.0, .total_steps = 9}, 0);
  for (int step = 1; step <= 3; ++step) {
    model.draw_finite_gradients(step);
    optimizer.step();
  }
  EXPECT_EQ(optimizer.lr(1), 0.125);
  EXPECT_NE(optimizer.lr(0), 0.125);
}

TEST(Programs, WrongTypeOfRuleIsRefusedInASentence) {
  Model model(kTwoGroups);
  Optimizer optimizer{{SGD{.lr = 0.5}, AdamW{}}, model.parameters()};
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.rule<SGD>(1)); }, {"AdamW", "SGD was asked for"}));
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.rule<SGD>(2)); }, {"group 2"}));
  EXPECT_TRUE(refused([&] { optimizer.set_rule(SGD{}, 1); }, {"SGD", "group 1", "AdamW"}));
  EXPECT_TRUE(refused([&] { optimizer.set_rule(AdamW{}, 0); }, {"AdamW", "group 0", "SGD"}));
  EXPECT_EQ(optimizer.rule<SGD>().lr, 0.5);
  optimizer.set_rule(AdamW{.lr = 0.25}, 1);
  EXPECT_EQ(optimizer.rule<AdamW>(1).lr, 0.25);
  EXPECT_TRUE(refused([&] { Optimizer{std::vector<Rule>{}, model.parameters()}; }, {"no rule was given"}));
}

TEST(Programs, HyperparametersThatChangeTheStatesAreRefused) {
  Model model(std::vector<Shape>{{.numel = 9}});
  Optimizer adam{Adam{.amsgrad = true}, model.parameters()};
  EXPECT_TRUE(refused([&] { adam.set_rule(Adam{}); }, {"leave out the state \"max_exp_avg_sq\"", "group 0"}));
  Optimizer rmsprop{RMSProp{.momentum = 0.9, .centered = true}, model.parameters()};
  EXPECT_TRUE(refused([&] { rmsprop.set_rule(RMSProp{.momentum = 0.9}); }, {"\"grad_avg\""}));
  rmsprop.set_rule(RMSProp{.centered = true});  // momentum may become 0
  rmsprop.step();
}

TEST(Programs, FormatsAndRulesMixFreely) {
  std::vector<std::uint16_t> low(70, 0x3f80), low_grad(70, 0x3e00);
  std::vector<float> wide(70, 1.0f), wide_grad(70, 0.125f);
  const auto tensor = [](std::vector<std::uint16_t>& of) {
    return Tensor{of.data(), DType::bfloat16, static_cast<std::int64_t>(of.size())};
  };
  Optimizer optimizer{
      {SGD{.lr = 1.0}, AdamW{.lr = 1.0, .eps = 0.0, .weight_decay = 0.0}},
      std::vector<Parameter>{{.name = "a", .value = tensor(low), .grad = tensor(low_grad), .group = 0},
                             {.name = "b", .value = wide, .grad = wide_grad, .group = 1}},
      {.storage = {.master = Master::float32}}};
  optimizer.step();
  EXPECT_EQ(low[0], 0x3f60);  // 1 - 0.125
  EXPECT_LE(std::fabs(wide[0]), 1e-6f);
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.state("a", "exp_avg")); }, {"exp_avg", "master"}));
}

}  // namespace
}  // namespace onepass::test
