// attached_schedule_test.cpp - a schedule attached to an optimizer gives the bits of rates set by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr double kBase = 0.05;
constexpr int kSteps = 60;
const std::vector<Shape> kShapes{{.numel = 37}, {.numel = 0}, {.numel = 100}};

struct Named {
  const char* name;
  Schedule schedule;
};

std::vector<Named> schedules() {
  return {
      {"step", StepLR{.step_size = 7}},
      {"cosine", CosineAnnealingLR{.T_max = 40}},
      {"one_cycle_lr_only", OneCycleLR{.max_lr = 0.1, .total_steps = 50, .cycle_momentum = false}},
      {"lambda", LambdaLR{.lr_lambda = [](std::int64_t t) { return 1.0 / (1.0 + static_cast<double>(t)); },
                          .steps = 20}},
      {"sequence",
       SequentialLR{.schedules = {WarmUp{.steps = 10}, ExponentialLR{.gamma = 0.9}}, .milestones = {10}}},
      {"chain", ChainedScheduler{.schedules = {PolynomialLR{.total_iters = 50, .power = 2.0},
                                               MultiStepLR{.milestones = {5, 30}}}}},
  };
}

/// Compares the attached schedule with rates set by hand: `set` writes the schedule's rates of a step to the
/// rule.
template <class Rule, class Set>
void expect_as_by_hand(const Rule& rule, const Schedule& schedule, Set set) {
  Model attached(kShapes), by_hand(kShapes);
  Optimizer follows{rule, attached.parameters()};
  Optimizer is_set{rule, by_hand.parameters()};
  follows.set_schedule(schedule);
  for (int t = 0; t < kSteps; ++t) {
    attached.draw_gradients(t + 1, 1000);
    by_hand.draw_gradients(t + 1, 1000);
    const Rates rates = schedule.rates(rule.lr, t);
    EXPECT_EQ(follows.lr(), rates.lr);
    Rule changed = rule;
    set(changed, rates);
    is_set.set_rule(changed);
    follows.step();
    is_set.step();
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      ASSERT_TRUE(equal_bits(by_hand.value(i).host(), attached.value(i).host())) << "step " << t;
    }
  }
}

const auto kSetRate = [](auto& rule, const Rates& rates) { rule.lr = rates.lr; };
/// Sets the momentum too, as PyTorch's OneCycleLR does.
const auto kSetMomentum = [](auto& rule, const Rates& rates) {
  rule.lr = rates.lr;
  rule.momentum = rates.momentum;
};
const auto kSetBeta1 = [](auto& rule, const Rates& rates) {
  rule.lr = rates.lr;
  rule.beta1 = rates.momentum;
};

TEST(AttachedSchedule, GivesTheBitsOfRatesSetByHand) {
  for (const Named& one : schedules()) {
    SCOPED_TRACE(one.name);
    expect_as_by_hand(SGD{.lr = kBase, .momentum = 0.9}, one.schedule, kSetRate);
    expect_as_by_hand(RMSProp{.lr = kBase}, one.schedule, kSetRate);
    expect_as_by_hand(Adam{.lr = kBase}, one.schedule, kSetRate);
    expect_as_by_hand(AdamW{.lr = kBase, .l1 = 0.01}, one.schedule, kSetRate);
  }
}

TEST(AttachedSchedule, DrivesMomentumOrBeta1) {
  const Schedule schedule = OneCycleLR{.max_lr = 0.1, .total_steps = 40};
  expect_as_by_hand(SGD{.momentum = 0.5}, schedule, kSetMomentum);
  expect_as_by_hand(RMSProp{.momentum = 0.5}, schedule, kSetMomentum);
  expect_as_by_hand(Adam{}, schedule, kSetBeta1);
  expect_as_by_hand(AdamW{}, schedule, kSetBeta1);
}

TEST(AttachedSchedule, RefusesToDriveAMomentumThatHasNoState) {
  Model model(kShapes);
  Optimizer optimizer{SGD{.lr = kBase}, model.parameters()};
  optimizer.set_schedule(StepLR{.step_size = 3});
  EXPECT_TRUE(refused([&] { optimizer.set_schedule(OneCycleLR{.max_lr = 1.0, .total_steps = 9}); },
                      {"Optimizer", "momentum", "cycle_momentum = false"}));
  EXPECT_EQ(optimizer.schedule(), Schedule(StepLR{.step_size = 3}));
  optimizer.set_schedule(OneCycleLR{.max_lr = 1.0, .total_steps = 9, .cycle_momentum = false});
}

TEST(AttachedSchedule, SkippedStepDoesNotAdvanceIt) {
  Model model(kShapes);
  Optimizer optimizer{SGD{.lr = kBase}, model.parameters()};
  optimizer.set_schedule(ExponentialLR{.gamma = 0.5});
  float found_inf = 0.0f;
  optimizer.set_found_inf(&found_inf);
  for (int t = 0; t < 9; ++t) {
    found_inf = t % 3 == 1 ? 1.0f : 0.0f;
    optimizer.step();
  }
  EXPECT_EQ(optimizer.steps(), 6);
  EXPECT_EQ(optimizer.lr(), kBase * std::exp2(-6));
}

TEST(AttachedSchedule, SetLrChangesItsBaseRate) {
  Model model(kShapes);
  Optimizer optimizer{SGD{.lr = 1.0}, model.parameters()};
  optimizer.set_schedule(ExponentialLR{.gamma = 0.5});
  optimizer.step();
  optimizer.set_lr(4.0);
  EXPECT_EQ(optimizer.lr(), 2.0);
  optimizer.set_schedule(Schedule{});
  EXPECT_EQ(optimizer.lr(), 4.0);
}

TEST(AttachedSchedule, EachGroupFollowsItsOwnSchedule) {
  std::vector<Shape> shapes{{.numel = 9, .group = 0}, {.numel = 9, .group = 1}, {.numel = 9, .group = 2}};
  Model model(shapes);
  Optimizer optimizer{std::vector<SGD>(3, SGD{.lr = 1.0}), model.parameters()};
  optimizer.set_schedule(ExponentialLR{.gamma = 0.5});
  optimizer.set_schedule(ConstantLR{.factor = 0.25, .total_iters = 100}, 1);
  optimizer.set_schedule(Schedule{}, 2);
  for (int t = 0; t < 3; ++t) optimizer.step();
  for (std::size_t i = 0; i < 3; ++i) {
    const float rate = std::vector<float>{0.125f, 0.25f, 1.0f}[i];
    EXPECT_EQ(optimizer.lr(i), rate);
  }
  model.draw_gradients(7, 1000);
  const std::vector<std::vector<float>> values{model.value(0).read(), model.value(1).read(),
                                               model.value(2).read()};
  optimizer.step();
  for (std::size_t i = 0; i < 3; ++i) {
    const float rate = std::vector<float>{0.125f, 0.25f, 1.0f}[i];
    for (std::size_t e = 0; e < 9; ++e) {
      EXPECT_EQ(model.value(i).host()[e], std::fma(1.0f, values[i][e], -(rate * model.grad(i).host()[e])));
    }
  }
  EXPECT_TRUE(refused([&] { optimizer.set_schedule(Schedule{}, 3); }, {"Optimizer", "group 3"}));
}

// The schedule counts the optimizer's steps, not those of a tensor that was added later.
TEST(AttachedSchedule, LateParametersFollowTheOptimizersStepCount) {
  Model model(kShapes), late({{.numel = 5, .id = 9}});
  Optimizer optimizer{SGD{.lr = 1.0}, model.parameters()};
  optimizer.set_schedule(ExponentialLR{.gamma = 0.5});
  for (int t = 0; t < 4; ++t) optimizer.step();
  optimizer.add_parameters(late.parameters());
  late.draw_gradients(1, 1000);
  const std::vector<float> before = late.value(0).read();
  optimizer.step();
  for (std::size_t e = 0; e < 5; ++e) {
    EXPECT_EQ(late.value(0).host()[e], std::fma(1.0f, before[e], -(0.0625f * late.grad(0).host()[e])));
  }
}

TEST(AttachedSchedule, ContinuesFromASavedState) {
  for (const Named& one : schedules()) {
    SCOPED_TRACE(one.name);
    Model steady(kShapes), resumed(kShapes);
    Optimizer runs{AdamW{.lr = kBase}, steady.parameters()};
    runs.set_schedule(one.schedule);
    const auto step = [&](Model& model, Optimizer& optimizer, int t) {
      model.draw_gradients(t, 1000);
      optimizer.step();
    };
    for (int t = 1; t <= 17; ++t) step(steady, runs, t);
    runs.set_lr(0.02);
    Optimizer goes_on{AdamW{.lr = 7.0}, resumed.parameters()};
    goes_on.load_state_dict(runs.state_dict());
    for (std::size_t i = 0; i < kShapes.size(); ++i) resumed.value(i).write(steady.value(i).read());
    for (int t = 18; t <= 40; ++t) {
      step(steady, runs, t);
      step(resumed, goes_on, t);
    }
    EXPECT_EQ(goes_on.schedule(), one.schedule);
    EXPECT_EQ(goes_on.rule<AdamW>().lr, 0.02);
    EXPECT_TRUE(equal_bits(steady.value(2).host(), resumed.value(2).host()));
  }
}

TEST(AttachedSchedule, PlateauSetsTheBaseRate) {
  Model model(kShapes);
  Optimizer optimizer{SGD{.lr = 1.0}, model.parameters()};
  optimizer.set_schedule(ConstantLR{.factor = 0.5, .total_iters = 1000});
  ReduceLROnPlateau plateau{.factor = 0.25, .patience = 1};
  EXPECT_FALSE(plateau.step(3.0, optimizer));
  EXPECT_FALSE(plateau.step(3.0, optimizer));
  EXPECT_TRUE(plateau.step(std::numeric_limits<double>::quiet_NaN(), optimizer));
  EXPECT_EQ(optimizer.rule().get("lr"), 0.25);
  EXPECT_EQ(optimizer.lr(), 0.125);
}

/// A table that is 1 but for one factor.
Schedule peak_of(double factor) {
  return LambdaLR{.lr_lambda = [factor](std::int64_t step) { return step == 7 ? factor : 1.0; }, .steps = 20};
}

// AdamW divides the rate by 1 - beta1 on its first step, so the coefficient of 1e38 is 1e39.
TEST(AttachedSchedule, RatesWhoseCoefficientsOverflowAreRefused) {
  Model model(kShapes);
  Optimizer optimizer{AdamW{.lr = kBase, .weight_decay = 0.0}, model.parameters()};
  const std::vector<Schedule> bad{
      OneCycleLR{.max_lr = 1e38, .total_steps = 50},
      OneCycleLR{.max_lr = 1e28, .total_steps = 50, .div_factor = 1e-10},
      OneCycleLR{.max_lr = 1e28, .total_steps = 50, .final_div_factor = 5e-12},
      CyclicLR{.base_lr = 0.1, .max_lr = 1e38, .step_size_up = 13},
      CyclicLR{.base_lr = 1e38, .max_lr = 0.1, .step_size_up = 13},
      CosineAnnealingLR{.T_max = 9, .eta_min = 1e38},
      CosineAnnealingWarmRestarts{.T_0 = 1000, .eta_min = 3e38},
      MultiStepLR{.milestones = {3, 5, 8}, .gamma = 1e13},
      SequentialLR{.schedules = {WarmUp{.steps = 10}, StepLR{.step_size = 4, .gamma = 1e15}, Schedule{}},
                   .milestones = {10, 25}},
      ChainedScheduler{.schedules = {peak_of(1e20), peak_of(1e20)}}};
  for (const Schedule& schedule : bad) {
    EXPECT_TRUE(refused([&] { optimizer.set_schedule(schedule); }, {"schedule", "AdamW", "not finite"}));
    EXPECT_TRUE(refused([&] { optimizer.set_schedule(schedule, 0); }, {"schedule", "AdamW", "not finite"}));
  }
  EXPECT_EQ(optimizer.schedule(), Schedule{});
  EXPECT_TRUE(refused([&] { optimizer.set_schedule(bad.back()); }, {"at step 7"}));
}

TEST(AttachedSchedule, BaseRateThatTheScheduleOverflowsWithIsRefused) {
  Model model(kShapes);
  Optimizer optimizer{AdamW{.lr = 1.0}, model.parameters()};
  optimizer.set_schedule(peak_of(1e20));
  EXPECT_TRUE(refused([&] { optimizer.set_lr(1e20); }, {"schedule", "at step 7", "AdamW"}));
  EXPECT_TRUE(refused([&] { optimizer.set_lr(1e20, 0); }, {"schedule", "at step 7", "AdamW"}));
  EXPECT_TRUE(refused([&] { optimizer.set_rule(AdamW{.lr = 1e20}); }, {"schedule", "at step 7", "AdamW"}));
  EXPECT_EQ(optimizer.rule().lr, 1.0);
  optimizer.set_schedule({});
  optimizer.set_lr(1e20);
}

}  // namespace
}  // namespace onepass::test
