// bad_schedule_test.cpp - rejection of parameters out of range, and of saved segments that no schedule has.
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "schedules/golden_schedules.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using schedule::Kind;
using schedule::Segment;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr std::int64_t kTooMany = schedule::kMostSteps + 1;

/// Succeeds if the schedule is rejected with "onepass: WHICH must ...".
template <class Parameters>
testing::AssertionResult refuses(const Parameters& parameters, const std::string& which,
                                 const std::string& value = "but is") {
  return refused([&] { (void)Schedule(parameters); }, {which + " must", value});
}

TEST(BadSchedule, RejectsStepDecayParametersOutOfRange) {
  EXPECT_TRUE(refuses(StepLR{}, "StepLR.step_size", "from 1 to 2^53, but is 0"));
  EXPECT_TRUE(refuses(StepLR{.step_size = -3}, "StepLR.step_size", "-3"));
  EXPECT_TRUE(refuses(StepLR{.step_size = kTooMany}, "StepLR.step_size"));
  for (const double bad : {-0.1, kNaN, kInf, 1e300}) {
    EXPECT_TRUE(refuses(StepLR{.step_size = 1, .gamma = bad}, "StepLR.gamma"));
    EXPECT_TRUE(refuses(ExponentialLR{.gamma = bad}, "ExponentialLR.gamma"));
    EXPECT_TRUE(refuses(MultiStepLR{.gamma = bad}, "MultiStepLR.gamma"));
  }
  EXPECT_TRUE(refuses(MultiStepLR{.milestones = {3, 2}}, "MultiStepLR.milestones", "2 comes after 3"));
  EXPECT_TRUE(refuses(MultiStepLR{.milestones = {-1}}, "MultiStepLR.milestones", "-1"));
  EXPECT_TRUE(refuses(MultiStepLR{.milestones = {kTooMany}}, "MultiStepLR.milestones"));
}

TEST(BadSchedule, RejectsFactorsAndLengthsOutOfRange) {
  for (const double bad : {-0.1, 1.1, kNaN}) {
    EXPECT_TRUE(refuses(ConstantLR{.factor = bad}, "ConstantLR.factor"));
    EXPECT_TRUE(refuses(LinearLR{.start_factor = bad}, "LinearLR.start_factor"));
    EXPECT_TRUE(refuses(LinearLR{.end_factor = bad}, "LinearLR.end_factor"));
    EXPECT_TRUE(refuses(WarmUp{.steps = 1, .start_factor = bad}, "WarmUp.start_factor"));
    EXPECT_TRUE(
        refuses(WarmupStableDecay{.decay_steps = 1, .start_factor = bad}, "WarmupStableDecay.start_factor"));
    EXPECT_TRUE(
        refuses(WarmupStableDecay{.decay_steps = 1, .end_factor = bad}, "WarmupStableDecay.end_factor"));
  }
  EXPECT_TRUE(refuses(ConstantLR{.total_iters = -1}, "ConstantLR.total_iters", "from 0"));
  EXPECT_TRUE(refuses(LinearLR{.total_iters = -1}, "LinearLR.total_iters", "from 0"));
  EXPECT_TRUE(refuses(WarmUp{.steps = -1}, "WarmUp.steps", "from 0"));
  EXPECT_TRUE(refuses(WarmupStableDecay{}, "WarmupStableDecay.decay_steps"));
  EXPECT_TRUE(refuses(WarmupStableDecay{.warmup_steps = -1}, "WarmupStableDecay.warmup_steps"));
  EXPECT_TRUE(refuses(WarmupStableDecay{.stable_steps = -1}, "WarmupStableDecay.stable_steps"));
  EXPECT_TRUE(refuses(WarmupStableDecay{.decay_steps = 1, .decay = static_cast<DecayShape>(3)},
                      "WarmupStableDecay.decay", "number 3"));
  EXPECT_TRUE(refuses(PolynomialLR{.total_iters = 0}, "PolynomialLR.total_iters"));
  EXPECT_TRUE(refuses(PolynomialLR{.power = -1.0}, "PolynomialLR.power"));
  EXPECT_TRUE(refuses(PolynomialLR{.power = kNaN}, "PolynomialLR.power"));
}

TEST(BadSchedule, RejectsCosineParametersOutOfRange) {
  EXPECT_TRUE(refuses(CosineAnnealingLR{}, "CosineAnnealingLR.T_max"));
  EXPECT_TRUE(refuses(CosineAnnealingLR{.T_max = -5}, "CosineAnnealingLR.T_max", "-5"));
  EXPECT_TRUE(refuses(CosineAnnealingWarmRestarts{}, "CosineAnnealingWarmRestarts.T_0"));
  EXPECT_TRUE(
      refuses(CosineAnnealingWarmRestarts{.T_0 = 1, .T_mult = 0}, "CosineAnnealingWarmRestarts.T_mult"));
  for (const double bad : {-1e-9, kNaN, kInf}) {
    EXPECT_TRUE(refuses(CosineAnnealingLR{.T_max = 1, .eta_min = bad}, "CosineAnnealingLR.eta_min"));
    EXPECT_TRUE(refuses(CosineAnnealingWarmRestarts{.T_0 = 1, .eta_min = bad},
                        "CosineAnnealingWarmRestarts.eta_min"));
  }
}

TEST(BadSchedule, RejectsOneCycleParametersOutOfRange) {
  const OneCycleLR good{.max_lr = 0.1, .total_steps = 10};
  EXPECT_EQ(Schedule(good).segments().size(), 1u);
  const auto with = [&](auto member, auto value) {
    OneCycleLR bad = good;
    bad.*member = value;
    return bad;
  };
  using T = OneCycleLR;
  EXPECT_TRUE(refuses(with(&T::total_steps, 0), "OneCycleLR.total_steps"));
  for (const double bad : {-0.1, kNaN, kInf}) {
    EXPECT_TRUE(refuses(with(&T::max_lr, bad), "OneCycleLR.max_lr"));
    EXPECT_TRUE(refuses(with(&T::pct_start, bad), "OneCycleLR.pct_start"));
    EXPECT_TRUE(refuses(with(&T::base_momentum, bad), "OneCycleLR.base_momentum"));
    EXPECT_TRUE(refuses(with(&T::max_momentum, bad), "OneCycleLR.max_momentum"));
    EXPECT_TRUE(refuses(with(&T::div_factor, bad), "OneCycleLR.div_factor"));
    EXPECT_TRUE(refuses(with(&T::final_div_factor, bad), "OneCycleLR.final_div_factor"));
  }
  EXPECT_TRUE(refuses(with(&T::pct_start, 1.01), "OneCycleLR.pct_start"));
  EXPECT_TRUE(refuses(with(&T::max_momentum, 1.0), "OneCycleLR.max_momentum"));
  EXPECT_TRUE(refuses(with(&T::div_factor, 0.0), "OneCycleLR.div_factor", "above 0"));
  EXPECT_TRUE(refuses(with(&T::anneal_strategy, static_cast<Anneal>(2)), "OneCycleLR.anneal_strategy"));
  // Rates that float32 cannot hold: their weighted sums would be NaN.
  EXPECT_TRUE(refuses(with(&T::div_factor, 1e-300), "OneCycleLR.max_lr / div_factor", "finite in float32"));
  EXPECT_TRUE(refuses(with(&T::final_div_factor, 1e-300), "OneCycleLR.max_lr / div_factor / final_div_factor",
                      "finite in float32"));
}

TEST(BadSchedule, RejectsCyclicParametersOutOfRange) {
  const CyclicLR good{.base_lr = 0.1, .max_lr = 0.2};
  const auto with = [&](auto member, auto value) {
    CyclicLR bad = good;
    bad.*member = value;
    return bad;
  };
  using T = CyclicLR;
  for (const double bad : {-0.1, kNaN, kInf}) {
    EXPECT_TRUE(refuses(with(&T::base_lr, bad), "CyclicLR.base_lr"));
    EXPECT_TRUE(refuses(with(&T::max_lr, bad), "CyclicLR.max_lr"));
    EXPECT_TRUE(refuses(with(&T::gamma, bad), "CyclicLR.gamma"));
    EXPECT_TRUE(refuses(with(&T::base_momentum, bad), "CyclicLR.base_momentum"));
    EXPECT_TRUE(refuses(with(&T::max_momentum, bad), "CyclicLR.max_momentum"));
  }
  EXPECT_TRUE(refuses(with(&T::gamma, 1.1), "CyclicLR.gamma"));
  EXPECT_TRUE(refuses(with(&T::step_size_up, 0), "CyclicLR.step_size_up"));
  EXPECT_TRUE(refuses(with(&T::step_size_down, 0), "CyclicLR.step_size_down"));
  EXPECT_TRUE(refuses(with(&T::mode, static_cast<CyclicMode>(3)), "CyclicLR.mode"));
}

TEST(BadSchedule, RejectsBadTablesAndPassesOnExceptionsOfTheFunction) {
  const auto one = [](std::int64_t) { return 1.0; };
  EXPECT_TRUE(refused([&] { (void)Schedule(LambdaLR{.steps = 3}); }, {"LambdaLR: lr_lambda", "empty"}));
  EXPECT_TRUE(refuses(LambdaLR{.lr_lambda = one}, "LambdaLR.steps"));
  EXPECT_TRUE(refuses(LambdaLR{.lr_lambda = one, .steps = (1 << 26) + 1}, "LambdaLR.steps", "2^26"));
  for (const double bad : {-0.5, kNaN, kInf, 1e300}) {
    const auto turns = [bad](std::int64_t t) { return t == 7 ? bad : 1.0; };
    EXPECT_TRUE(refuses(LambdaLR{.lr_lambda = turns, .steps = 9}, "LambdaLR.lr_lambda", "at step 7 gives"));
    EXPECT_EQ(Schedule(LambdaLR{.lr_lambda = turns, .steps = 7}).lr(2.0, 7), 2.0);
  }
  const auto throws = [](std::int64_t) -> double { throw std::domain_error("mine"); };
  EXPECT_THROW((void)Schedule(LambdaLR{.lr_lambda = throws, .steps = 1}), std::domain_error);
}

TEST(BadSchedule, RejectsEmptyCompositionsAndBadMilestones) {
  const Schedule any = ConstantLR{};
  EXPECT_TRUE(refused([] { (void)Schedule(SequentialLR{}); }, {"SequentialLR: schedules", "empty"}));
  EXPECT_TRUE(refused([] { (void)Schedule(ChainedScheduler{}); }, {"ChainedScheduler: schedules", "empty"}));
  EXPECT_TRUE(refused(
      [&] {
        (void)Schedule(SequentialLR{{any, any}, {}});
      },
      {"one milestone less", "0 for 2"}));
  EXPECT_TRUE(refused([&] { (void)Schedule(SequentialLR{{any}, {5}}); }, {"one milestone less", "1 for 1"}));
  EXPECT_TRUE(refuses(SequentialLR{{any, any}, {-1}}, "SequentialLR.milestones", "from 0"));
  EXPECT_TRUE(refuses(SequentialLR{{any, any}, {kTooMany}}, "SequentialLR.milestones", "2^53"));
  EXPECT_TRUE(refuses(SequentialLR{{any, any, any}, {5, 4}}, "SequentialLR.milestones", "4 comes after 5"));
}

/// Succeeds if the segments and numbers of a good schedule are rejected after `spoil` has changed them.
template <class Spoil>
testing::AssertionResult refuses_segments(const Schedule& good, Spoil spoil, const std::string& word) {
  std::vector<Segment> segments(good.segments().begin(), good.segments().end());
  std::vector<double> numbers(good.numbers().begin(), good.numbers().end());
  spoil(segments, numbers);
  return refused([&] { (void)Schedule(segments, numbers); }, {word});
}

using Segments = std::vector<Segment>;
using Numbers = std::vector<double>;

TEST(SavedSchedule, RestoresToAnEqualSchedule) {
  for (const NamedSchedule& one : golden_schedules()) {
    EXPECT_EQ(Schedule(one.schedule.segments(), one.schedule.numbers()), one.schedule) << one.name;
  }
}

// Segments of a cosine that were saved before hold_minimum existed have a 0 in its place.
TEST(SavedSchedule, CosineWithoutAHoldRisesAgain) {
  const Segment saved{.kind = Kind::cosine_annealing, .parameters = {10.0, 0.01}};
  EXPECT_EQ(Schedule(std::span(&saved, 1), {}), Schedule(CosineAnnealingLR{.T_max = 10, .eta_min = 0.01}));
}

TEST(SavedSchedule, RejectsSegmentsOutOfPlace) {
  const Schedule good =
      ChainedScheduler{{SequentialLR{{WarmUp{.steps = 5}, ConstantLR{}}, {5}}, ConstantLR{}}};
  ASSERT_EQ(good.segments().size(), 3u);
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p.clear(); }, "no segments"));
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p[0].stage = 1; }, "segment 0 is of stage 1"));
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p[2].stage = 2; }, "segment 2 is of stage 2"));
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p[1].stage = -1; }, "segment 1 is of stage -1"));
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p[0].begin = 1; }, "segment 0 begins at step 1"));
  EXPECT_TRUE(refuses_segments(
      good, [](Segments& p, Numbers&) { p[1].begin = 0; }, "segment 1 begins at step 0"));
  for (const std::int64_t begin : {schedule::kMostSteps + 1, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_TRUE(refuses_segments(
        good, [&](Segments& p, Numbers&) { p[1].begin = begin; },
        "segment 1 begins at step " + std::to_string(begin) + ", after the last"));
  }
}

TEST(SavedSchedule, LeavesOutWhatBeginsAfterTheLastStep) {
  const SequentialLR late{{WarmUp{.steps = 5}, ConstantLR{}}, {schedule::kMostSteps}};
  const Schedule all = SequentialLR{{StepLR{.step_size = 3}, late}, {7}};
  EXPECT_EQ(Schedule(all.segments(), all.numbers()), all);
  EXPECT_EQ(all.segments().size(), 2u);
}

TEST(SavedSchedule, RejectsParametersThatNoScheduleHas) {
  for (const NamedSchedule& one : golden_schedules()) {
    SCOPED_TRACE(one.name);
    for (const int kind : {-1, 12}) {
      EXPECT_TRUE(refuses_segments(
          one.schedule, [&](Segments& p, Numbers&) { p[0].kind = static_cast<Kind>(kind); }, "segment 0 "));
    }
    // No parameter may be -1, NaN or infinite, and parameters that a kind does not have must be 0.
    for (std::size_t i = 0; i < std::size(Segment{}.parameters); ++i) {
      for (const double bad : {-1.0, kNaN, kInf}) {
        EXPECT_TRUE(refuses_segments(
            one.schedule, [&](Segments& p, Numbers&) { p[0].parameters[i] = bad; }, "onepass: "))
            << "parameter " << i << " = " << bad;
      }
    }
    EXPECT_TRUE(refuses_segments(
        one.schedule, [](Segments& p, Numbers&) { p[0].parameters[10] = 0.5; }, "segment 0 has parameters"));
  }
  EXPECT_TRUE(refuses_segments(
      Schedule(), [](Segments& p, Numbers&) { p[0].kind = static_cast<Kind>(12); },
      "of kind 12, which does not exist"));
}

TEST(SavedSchedule, RejectsFractionsOfAStep) {
  const auto halve = [](Segments& p, Numbers&) { p[0].parameters[0] = 2.5; };
  EXPECT_TRUE(refuses_segments(StepLR{.step_size = 2}, halve, "segment 0 has parameters"));
  const auto no_flag = [](Segments& p, Numbers&) { p[0].parameters[4] = 2.0; };
  EXPECT_TRUE(
      refuses_segments(OneCycleLR{.max_lr = 1, .total_steps = 5}, no_flag, "segment 0 has parameters"));
  const auto no_hold = [](Segments& p, Numbers&) { p[0].parameters[2] = 2.0; };
  EXPECT_TRUE(refuses_segments(CosineAnnealingLR{.T_max = 5}, no_hold, "segment 0 has parameters"));
}

TEST(SavedSchedule, RejectsBadNumbersAndRangesOfNumbers) {
  const Schedule steps = MultiStepLR{.milestones = {2, 5}};
  const Schedule table = LambdaLR{[](std::int64_t) { return 1.0; }, 2};
  for (const Schedule& good : {steps, table}) {
    EXPECT_TRUE(refuses_segments(
        good, [](Segments& p, Numbers&) { p[0].number_count = 3; }, "takes 3 numbers"));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments& p, Numbers&) { p[0].first_number = 1; }, "from number 1"));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments& p, Numbers&) { p[0].first_number = -1; }, "from number -1"));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments& p, Numbers&) { p[0].number_count = -1; }, "takes -1 numbers"));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments&, Numbers& n) { n.pop_back(); }, "out of 1"));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments&, Numbers& n) { n[1] = -1.0; }, "onepass: "));
    EXPECT_TRUE(refuses_segments(
        good, [](Segments&, Numbers& n) { n[1] = kNaN; }, "onepass: "));
  }
  EXPECT_TRUE(refuses_segments(
      steps, [](Segments&, Numbers& n) { n[1] = 1.0; }, "1 comes after 2"));
  EXPECT_TRUE(refuses_segments(
      steps, [](Segments&, Numbers& n) { n[1] = 5.5; }, "whole number"));
  EXPECT_TRUE(refuses_segments(
      table, [](Segments& p, Numbers&) { p[0].number_count = 0; }, "no numbers"));
  EXPECT_TRUE(refuses_segments(
      ConstantLR{},
      [](Segments& p, Numbers& n) {
        n.push_back(1.0);
        p[0].number_count = 1;
      },
      "takes 1 numbers"));
}

}  // namespace
}  // namespace onepass::test
