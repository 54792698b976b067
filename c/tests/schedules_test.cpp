// schedules_test.cpp - schedules by name have the rates of the library's.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

using Settings = std::vector<onepass_setting>;

/// Fails the test unless a schedule has the rates of the library's.
void expect_rates(const onepass_schedule* schedule, const Schedule& expected) {
  for (const std::int64_t step : {0, 1, 2, 3, 5, 7, 10, 11, 19, 40, 1000}) {
    onepass_rates rates{.size = sizeof rates};
    expect_ok(onepass_schedule_rates(schedule, 0.3, step, &rates));
    const Rates own = expected.rates(0.3, step);
    EXPECT_EQ(rates.lr, own.lr) << step;
    EXPECT_EQ(rates.drives_momentum, own.drives_momentum ? 1 : 0);
    if (own.drives_momentum) {
      EXPECT_EQ(rates.momentum, own.momentum) << step;
    }
  }
}

void expect_made(const char* name, const Settings& settings, const Schedule& expected) {
  SCOPED_TRACE(name);
  ScheduleHandle schedule;
  expect_ok(
      onepass_schedule_create(name, settings.data(), static_cast<std::int64_t>(settings.size()), &schedule));
  expect_rates(schedule, expected);
}

TEST(CSchedules, EveryScheduleHasTheRatesOfTheLibrary) {
  expect_made("ConstantLR", {{"factor", 0.25, nullptr}, {"total_iters", 3, nullptr}},
              ConstantLR{.factor = 0.25, .total_iters = 3});
  expect_made("CosineAnnealingLR",
              {{"T_max", 7, nullptr}, {"eta_min", 0.01, nullptr}, {"hold_minimum", 0, "true"}},
              CosineAnnealingLR{.T_max = 7, .eta_min = 0.01, .hold_minimum = true});
  expect_made("CosineAnnealingWarmRestarts",
              {{"T_0", 3, nullptr}, {"T_mult", 2, nullptr}, {"eta_min", 0, "0.02"}},
              CosineAnnealingWarmRestarts{.T_0 = 3, .T_mult = 2, .eta_min = 0.02});
  expect_made("CyclicLR",
              {{"base_lr", 0.1, nullptr},
               {"max_lr", 0.5, nullptr},
               {"step_size_up", 4, nullptr},
               {"step_size_down", 3, nullptr},
               {"mode", 0, "exp_range"},
               {"gamma", 0.9, nullptr},
               {"cycle_momentum", 1, nullptr},
               {"base_momentum", 0.7, nullptr},
               {"max_momentum", 0.8, nullptr}},
              CyclicLR{.base_lr = 0.1,
                       .max_lr = 0.5,
                       .step_size_up = 4,
                       .step_size_down = 3,
                       .mode = CyclicMode::exp_range,
                       .gamma = 0.9,
                       .base_momentum = 0.7,
                       .max_momentum = 0.8});
  expect_made("ExponentialLR", {{"gamma", 0.9, nullptr}}, ExponentialLR{.gamma = 0.9});
  expect_made("LinearLR",
              {{"start_factor", 0.1, nullptr}, {"end_factor", 0.9, nullptr}, {"total_iters", 10, nullptr}},
              LinearLR{.start_factor = 0.1, .end_factor = 0.9, .total_iters = 10});
  expect_made("OneCycleLR",
              {{"max_lr", 0.4, nullptr},
               {"total_steps", 20, nullptr},
               {"pct_start", 0.4, nullptr},
               {"anneal_strategy", 0, "linear"},
               {"cycle_momentum", 0, "true"},
               {"base_momentum", 0.6, nullptr},
               {"max_momentum", 0.7, nullptr},
               {"div_factor", 5, nullptr},
               {"final_div_factor", 50, nullptr},
               {"three_phase", 1, nullptr}},
              OneCycleLR{.max_lr = 0.4,
                         .total_steps = 20,
                         .pct_start = 0.4,
                         .anneal_strategy = Anneal::linear,
                         .base_momentum = 0.6,
                         .max_momentum = 0.7,
                         .div_factor = 5,
                         .final_div_factor = 50,
                         .three_phase = true});
  expect_made("PolynomialLR", {{"total_iters", 12, nullptr}, {"power", 2, nullptr}},
              PolynomialLR{.total_iters = 12, .power = 2});
  expect_made("StepLR", {{"step_size", 3, nullptr}, {"gamma", 0.5, nullptr}},
              StepLR{.step_size = 3, .gamma = 0.5});
  expect_made("WarmUp", {{"steps", 6, nullptr}, {"start_factor", 0.2, nullptr}},
              WarmUp{.steps = 6, .start_factor = 0.2});
  expect_made("WarmupStableDecay",
              {{"warmup_steps", 2, nullptr},
               {"stable_steps", 3, nullptr},
               {"decay_steps", 4, nullptr},
               {"start_factor", 0.1, nullptr},
               {"end_factor", 0.05, nullptr},
               {"decay", 2, nullptr}},
              WarmupStableDecay{.warmup_steps = 2,
                                .stable_steps = 3,
                                .decay_steps = 4,
                                .start_factor = 0.1,
                                .end_factor = 0.05,
                                .decay = DecayShape::one_minus_sqrt});
}

TEST(CSchedules, CompositionsHaveTheRatesOfTheLibrary) {
  const std::vector<std::int64_t> milestones{3, 10};
  ScheduleHandle steps, table, warm_up, sequence, chain;
  expect_ok(onepass_schedule_multi_step(milestones.data(), 2, 0.5, &steps));
  const MultiStepLR own_steps{.milestones = milestones, .gamma = 0.5};
  expect_rates(steps, own_steps);

  const std::vector<double> factors{1.0, 0.5, 0.75};
  expect_ok(onepass_schedule_table(factors.data(), 3, &table));
  const LambdaLR own_table{.lr_lambda = [&](std::int64_t i) { return factors[static_cast<std::size_t>(i)]; },
                           .steps = 3};
  expect_rates(table, own_table);

  const onepass_setting setting{"steps", 5, nullptr};
  expect_ok(onepass_schedule_create("WarmUp", &setting, 1, &warm_up));
  const onepass_schedule* const list[] = {warm_up, steps, table};
  expect_ok(onepass_schedule_sequence(list, 3, milestones.data(), &sequence));
  expect_rates(sequence, SequentialLR{{WarmUp{.steps = 5}, own_steps, own_table}, milestones});
  expect_ok(onepass_schedule_chain(list, 3, &chain));
  expect_rates(chain, ChainedScheduler{{WarmUp{.steps = 5}, own_steps, own_table}});

  const onepass_segment* segments = nullptr;
  const double* numbers = nullptr;
  std::int64_t segment_count = 0, number_count = 0;
  expect_ok(onepass_schedule_segments(sequence, &segments, &segment_count, &numbers, &number_count));
  ScheduleHandle restored;
  expect_ok(onepass_schedule_restore(segments, segment_count, numbers, number_count, &restored));
  expect_rates(restored, SequentialLR{{WarmUp{.steps = 5}, own_steps, own_table}, milestones});
}

std::string refusal_of(const char* name, const Settings& settings) {
  int some = 0;  // not null, so that the test shows that a failure sets it to null
  auto* made = reinterpret_cast<onepass_schedule*>(&some);
  const int status =
      onepass_schedule_create(name, settings.data(), static_cast<std::int64_t>(settings.size()), &made);
  EXPECT_EQ(made, nullptr);
  return refusal(status);
}

TEST(CSchedules, RefuseUnknownNamesAndValuesOutOfRange) {
  EXPECT_EQ(
      refusal_of("Cosine", {}),
      "onepass: there is no schedule \"Cosine\"; there are: ConstantLR, CosineAnnealingLR, "
      "CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LinearLR, OneCycleLR, PolynomialLR, StepLR, "
      "WarmUp, WarmupStableDecay");
  EXPECT_EQ(refusal_of(nullptr, {}), "onepass: the name of the schedule is null");
  EXPECT_EQ(refusal_of("StepLR", {{"steps", 1, nullptr}}),
            "onepass: StepLR has no member \"steps\"; it has: step_size, gamma");
  EXPECT_EQ(refusal_of("StepLR", {{nullptr, 1, nullptr}}), "onepass: the name of a setting is null");
  EXPECT_EQ(refusal_of("StepLR", {{"step_size", 1.5, nullptr}}),
            "onepass: StepLR.step_size must be a whole number, but is 1.5");
  EXPECT_EQ(refusal_of("StepLR", {{"gamma", 0, "half"}}),
            "onepass: StepLR.gamma must be a number, but is \"half\"");
  EXPECT_EQ(refusal_of("CosineAnnealingLR", {{"T_max", 3, nullptr}, {"hold_minimum", 2, nullptr}}),
            "onepass: CosineAnnealingLR.hold_minimum must be 0 or 1, but is 2");
  EXPECT_EQ(refusal_of("CyclicLR", {{"mode", 0, "square"}}),
            "onepass: CyclicLR.mode must be one of triangular, triangular2, exp_range, but is \"square\"");
  EXPECT_EQ(refusal_of("CyclicLR", {{"mode", 3, nullptr}}),
            "onepass: CyclicLR.mode must be one of triangular, triangular2, exp_range, but is 3");
  EXPECT_NE(refusal_of("StepLR", {}).find("step_size"), std::string::npos);
  onepass_schedule* made = nullptr;
  EXPECT_EQ(refusal(onepass_schedule_table(nullptr, 0, &made)),
            "onepass: count is 0; it must be from 1 to 67108864");
  EXPECT_EQ(refusal(onepass_schedule_sequence(nullptr, 1, nullptr, &made)), "onepass: schedules is null");
  const onepass_schedule* const none[] = {nullptr};
  EXPECT_EQ(refusal(onepass_schedule_chain(none, 1, &made)), "onepass: a schedule is null");
  EXPECT_NE(refusal(onepass_schedule_chain(none, 0, &made)), "");
}

TEST(CSchedules, DriveTheRatesOfGroups) {
  Model model, expected;
  const Handle optimizer = create({group_of("SGD"), group_of("AdamW")}, model.tensors(2));
  Optimizer library(std::vector<Rule>{SGD{}, AdamW{}}, expected.parameters(2));
  ScheduleHandle schedule;
  const onepass_setting settings[] = {{"step_size", 2, nullptr}, {"gamma", 0.5, nullptr}};
  expect_ok(onepass_schedule_create("StepLR", settings, 2, &schedule));
  const Schedule own = StepLR{.step_size = 2, .gamma = 0.5};
  for (const std::int32_t group : {1, -1}) {
    expect_ok(onepass_set_schedule(optimizer.get(), group, schedule));
    group == -1 ? library.set_schedule(own) : library.set_schedule(own, 1);
    for (int i = 0; i < 3; ++i) {
      model.set_gradients(i), expected.set_gradients(i);
      expect_ok(onepass_step(optimizer.get(), nullptr));
      library.step();
    }
    EXPECT_EQ(model.bits(), expected.bits());
    double lr = 0.0;
    expect_ok(onepass_lr(optimizer.get(), 1, nullptr, &lr));
    EXPECT_EQ(lr, library.lr(1));
  }
  ScheduleHandle read;
  expect_ok(onepass_get_schedule(optimizer.get(), 0, &read));
  expect_rates(read, own);
  expect_ok(onepass_set_schedule(optimizer.get(), -1, nullptr));
  double lr = 0.0;
  expect_ok(onepass_lr(optimizer.get(), 0, nullptr, &lr));
  EXPECT_EQ(lr, SGD{}.lr);
}

TEST(CSchedules, APlateauLowersTheRatesAsInTheLibrary) {
  Model model, expected;
  const Handle optimizer = create({group_of("SGD"), group_of("AdamW")}, model.tensors(2));
  Optimizer library(std::vector<Rule>{SGD{}, AdamW{}}, expected.parameters(2));
  const double least[] = {1e-5, 2e-4};
  onepass_plateau plateau;
  expect_ok(onepass_plateau_init(&plateau));
  EXPECT_EQ(plateau.factor, ReduceLROnPlateau{}.factor);
  EXPECT_EQ(plateau.patience, ReduceLROnPlateau{}.patience);
  plateau.patience = 1, plateau.cooldown = 1, plateau.factor = 0.5;
  plateau.min_lrs = least, plateau.min_lr_count = 2;
  ReduceLROnPlateau own{.factor = 0.5, .patience = 1, .cooldown = 1, .min_lrs = {1e-5, 2e-4}};
  for (const double metric : {3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5}) {
    std::int32_t fired = 7;
    expect_ok(onepass_plateau_step(&plateau, metric, optimizer.get(), nullptr, &fired));
    EXPECT_EQ(fired, own.step(metric, library) ? 1 : 0);
    EXPECT_EQ(plateau.best, own.best.value());
    EXPECT_EQ(plateau.num_bad_epochs, own.num_bad_epochs);
    EXPECT_EQ(plateau.cooldown_counter, own.cooldown_counter);
    for (const std::int32_t group : {0, 1}) {
      double lr = 0.0;
      expect_ok(onepass_get(optimizer.get(), group, "lr", &lr));
      EXPECT_EQ(lr, library.rule(static_cast<std::size_t>(group)).lr);
    }
  }
  plateau.factor = 2.0;
  EXPECT_NE(refusal(onepass_plateau_step(&plateau, 9.0, optimizer.get(), nullptr, nullptr)), "");
  EXPECT_EQ(plateau.num_bad_epochs, own.num_bad_epochs);
}

}  // namespace
}  // namespace onepass::test
