// shape_test.cpp - schedules at their ends, at very large steps, and at steps in any order.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "schedules/golden_schedules.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kLastStep = std::numeric_limits<std::int64_t>::max();
constexpr double kBase = 0.3;

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

double lr(const Schedule& schedule, std::int64_t step) { return schedule.lr(kBase, step); }

// A schedule carries no state from step to step, so resuming means evaluating another step.
TEST(Schedule, GivesTheSameBitsInAnyOrder) {
  for (const NamedSchedule& one : golden_schedules()) {
    std::vector<Rates> forward;
    for (std::int64_t t = 0; t < 2000; ++t) forward.push_back(one.schedule.rates(kBase, t));
    const Schedule copy(one.schedule.segments(), one.schedule.numbers());
    for (std::uint64_t key = 0; key < 2000; ++key) {
      const auto t = static_cast<std::int64_t>(mix(key) % 2000);
      const Rates again = copy.rates(kBase, t);
      const Rates& wanted = forward[static_cast<std::size_t>(t)];
      ASSERT_TRUE(same(again.lr, wanted.lr) && same(again.momentum, wanted.momentum))
          << one.name << ", " << t;
    }
  }
}

TEST(Schedule, NegativeStepCountsAsStepZero) {
  for (const NamedSchedule& one : golden_schedules()) {
    EXPECT_TRUE(same(lr(one.schedule, -1), lr(one.schedule, 0))) << one.name;
    EXPECT_TRUE(same(lr(one.schedule, std::numeric_limits<std::int64_t>::min()), lr(one.schedule, 0)))
        << one.name;
  }
}

TEST(Schedule, StaysFiniteAndNonnegativeUpToTheLargestStep) {
  for (const NamedSchedule& one : golden_schedules()) {
    if (one.name == "step_growing") continue;
    for (const std::int64_t t : {std::int64_t{1} << 31, std::int64_t{1} << 53, kLastStep - 1, kLastStep}) {
      const Rates rates = one.schedule.rates(kBase, t);
      EXPECT_TRUE(std::isfinite(rates.lr) && rates.lr >= 0.0) << one.name << ", " << t << ": " << rates.lr;
      EXPECT_TRUE(rates.momentum >= 0.0 && rates.momentum < 1.0) << one.name << ", " << t;
    }
  }
}

TEST(Schedule, ScalesWithTheBaseRate) {
  EXPECT_EQ(Schedule().lr(0.3, 12345), 0.3);
  EXPECT_EQ(Schedule(StepLR{.step_size = 2, .gamma = 0.5}).lr(8.0, 5), 2.0);
  EXPECT_EQ(Schedule(StepLR{.step_size = 2, .gamma = 0.5}).lr(0.0, 5), 0.0);
  EXPECT_TRUE(std::isnan(Schedule(WarmUp{.steps = 2}).lr(std::nan(""), 1)));
}

TEST(Schedule, AbsoluteRatesIgnoreTheBaseRate) {
  const Schedule cycle = OneCycleLR{.max_lr = 0.5, .total_steps = 100};
  const Schedule waves = CyclicLR{.base_lr = 0.1, .max_lr = 0.5};
  for (const double base : {0.0, 1.0, std::nan("")}) {
    EXPECT_EQ(cycle.lr(base, 17), cycle.lr(0.3, 17));
    EXPECT_EQ(waves.lr(base, 17), waves.lr(0.3, 17));
  }
}

TEST(Schedule, EqualsOnlyTheSameSchedule) {
  const std::vector<NamedSchedule> all = golden_schedules(), again = golden_schedules();
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < all.size(); ++j) {
      EXPECT_EQ(all[i].schedule == again[j].schedule, i == j) << all[i].name << ", " << all[j].name;
    }
  }
  EXPECT_EQ(Schedule(ExponentialLR{.gamma = 0.5}), Schedule(StepLR{.step_size = 1, .gamma = 0.5}));
}

TEST(CosineAnnealingLR, ReachesBothEndsExactlyInEveryPeriod) {
  for (const std::int64_t length : {std::int64_t{1}, std::int64_t{3}, std::int64_t{1000003}}) {
    const Schedule cosine = CosineAnnealingLR{.T_max = length, .eta_min = 0.01};
    for (const std::int64_t period : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 30}) {
      EXPECT_EQ(lr(cosine, 2 * period * length), kBase);
      EXPECT_EQ(lr(cosine, (2 * period + 1) * length), 0.01);
    }
  }
  // Near the minimum 1 + cos would have lost all digits but one here. The expected value is (pi / 2 / T)^2.
  // The tolerance is 3e-8, because the rounding of t / T leaves 1 - t / T a relative error of 1e-8.
  const Schedule long_one = CosineAnnealingLR{.T_max = 100'000'000};
  const double wanted = std::pow(std::acos(-1.0) / 2e8, 2);
  EXPECT_NEAR(lr(long_one, 99'999'999) / kBase, wanted, 3e-8 * wanted);
}

TEST(CosineAnnealingLR, HoldsItsMinimumIfAskedTo) {
  for (const std::int64_t length : {std::int64_t{1}, std::int64_t{3}, std::int64_t{1000}}) {
    const Schedule rising = CosineAnnealingLR{.T_max = length, .eta_min = 0.01};
    const Schedule holding = CosineAnnealingLR{.T_max = length, .eta_min = 0.01, .hold_minimum = true};
    for (std::int64_t t = 0; t <= length; ++t) EXPECT_TRUE(same(lr(holding, t), lr(rising, t))) << t;
    for (const std::int64_t t : {length, length + 1, 2 * length, kLastStep}) EXPECT_EQ(lr(holding, t), 0.01);
    EXPECT_NE(holding, rising);
  }
}

TEST(CosineAnnealingWarmRestarts, RestartsAtTheFullRate) {
  for (const std::int64_t growth : {2, 3, 10}) {
    const Schedule restarts = CosineAnnealingWarmRestarts{.T_0 = 7, .T_mult = growth};
    std::int64_t begin = 0;
    for (std::int64_t length = 7; length < kLastStep / 32 / growth; length *= growth) {
      EXPECT_EQ(lr(restarts, begin), kBase) << begin;
      if (length % 2 == 0) {
        EXPECT_NEAR(lr(restarts, begin + length / 2), kBase / 2, 1e-15) << begin;
      }
      begin += length;
      EXPECT_LT(lr(restarts, begin - 1), 0.016) << begin;  // cos^2(pi / 2 * 6 / 7) of the base, at T_0
    }
  }
  const Schedule steep = CosineAnnealingWarmRestarts{.T_0 = 5, .T_mult = schedule::kMostSteps};
  EXPECT_EQ(lr(steep, 5), kBase);
  EXPECT_GT(lr(steep, kLastStep), 0.0);
}

TEST(OneCycleLR, ReachesItsCornersAndIsConstantAfterTheEnd) {
  const Schedule cycle = OneCycleLR{.max_lr = 0.5, .total_steps = 101, .pct_start = 41.0 / 101};
  EXPECT_EQ(cycle.rates(kBase, 0).lr, 0.5 / 25);
  EXPECT_EQ(cycle.rates(kBase, 0).momentum, 0.95);
  EXPECT_EQ(cycle.rates(kBase, 40).lr, 0.5);
  EXPECT_EQ(cycle.rates(kBase, 40).momentum, 0.85);
  for (const std::int64_t t : {std::int64_t{100}, std::int64_t{101}, kLastStep}) {
    EXPECT_EQ(cycle.rates(kBase, t).lr, 0.5 / 25 / 1e4);
    EXPECT_EQ(cycle.rates(kBase, t).momentum, 0.95);
  }
}

// PyTorch divides by zero in these cases. Here a phase without length has the rate of its end.
TEST(OneCycleLR, PhaseWithoutLengthHasTheRateOfItsEnd) {
  const auto rate = [](OneCycleLR cycle, std::int64_t t) { return lr(cycle, t); };
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 10, .pct_start = 0.1}, 0), 0.5);
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 1}, 0), 0.5 / 25 / 1e4);
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 1, .pct_start = 1.0}, 0), 0.5);
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 10, .pct_start = 1.0}, 9), 0.5);
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 10, .pct_start = 1.0}, 10), 0.5);
  EXPECT_EQ(rate({.max_lr = 0.5, .total_steps = 10, .pct_start = 0.1, .three_phase = true}, 0), 0.5);
  for (const double start : {0.0, 0.05, 0.1, 0.5, 0.55, 0.9, 1.0}) {
    for (std::int64_t t = 0; t < 12; ++t) {
      const double value =
          rate({.max_lr = 0.5, .total_steps = 10, .pct_start = start, .three_phase = true}, t);
      EXPECT_TRUE(value >= 0.0 && value <= 0.5) << start << ", " << t << ": " << value;
    }
  }
}

TEST(CyclicLR, ReachesBothBoundsInEveryCycle) {
  const Schedule cyclic = CyclicLR{
      .base_lr = 0.125, .max_lr = 0.5, .step_size_up = 3, .step_size_down = 5, .base_momentum = 0.75};
  const Schedule halving = CyclicLR{.base_lr = 0.125,
                                    .max_lr = 0.625,
                                    .step_size_up = 3,
                                    .step_size_down = 5,
                                    .mode = CyclicMode::triangular2};
  for (std::int64_t cycle = 0; cycle < 1000; ++cycle) {
    EXPECT_EQ(cyclic.rates(kBase, 8 * cycle).lr, 0.125);
    EXPECT_EQ(cyclic.rates(kBase, 8 * cycle).momentum, 0.9);
    EXPECT_EQ(cyclic.rates(kBase, 8 * cycle + 3).lr, 0.5);
    EXPECT_EQ(cyclic.rates(kBase, 8 * cycle + 3).momentum, 0.75);
    EXPECT_EQ(lr(halving, 8 * cycle), 0.125);
    EXPECT_DOUBLE_EQ(lr(halving, 8 * cycle + 3), 0.125 + std::ldexp(0.5, -static_cast<int>(cycle)));
  }
}

TEST(WarmUp, StartsAtItsFactorAndEndsAtTheFullRate) {
  const Schedule warm_up = WarmUp{.steps = 1000};
  EXPECT_TRUE(same(lr(warm_up, 0), 0.0));
  EXPECT_EQ(lr(warm_up, 500), kBase * 0.5);
  EXPECT_EQ(lr(warm_up, 1000), kBase);
  EXPECT_EQ(lr(warm_up, kLastStep), kBase);
  EXPECT_EQ(lr(WarmUp{.steps = 1000, .start_factor = 0.1}, 0), kBase * 0.1);
}

TEST(WarmUp, OfNoStepsHasTheFullRateFromTheFirstStep) {
  for (const std::int64_t t : {std::int64_t{0}, std::int64_t{1}, kLastStep}) {
    EXPECT_EQ(lr(WarmUp{.steps = 0}, t), kBase);
    EXPECT_EQ(lr(WarmUp{.steps = 0, .start_factor = 0.5}, t), kBase);
    EXPECT_EQ(lr(LinearLR{.start_factor = 0.5, .end_factor = 0.25, .total_iters = 0}, t), kBase * 0.25);
  }
}

TEST(WarmupStableDecay, IsExactAtItsCorners) {
  for (const DecayShape shape : {DecayShape::linear, DecayShape::cosine, DecayShape::one_minus_sqrt}) {
    const Schedule wsd = WarmupStableDecay{
        .warmup_steps = 10, .stable_steps = 20, .decay_steps = 30, .end_factor = 0.25, .decay = shape};
    EXPECT_TRUE(same(lr(wsd, 0), 0.0));
    for (std::int64_t t = 10; t <= 30; ++t) EXPECT_EQ(lr(wsd, t), kBase) << t;
    EXPECT_LT(lr(wsd, 31), kBase);
    for (const std::int64_t t : {std::int64_t{60}, std::int64_t{61}, kLastStep}) {
      EXPECT_EQ(lr(wsd, t), kBase * 0.25);
    }
  }
  EXPECT_EQ(lr(WarmupStableDecay{.decay_steps = 4}, 0), kBase);  // neither warm-up nor constant rate
  EXPECT_EQ(lr(WarmupStableDecay{.decay_steps = 4}, 1), kBase * 0.75);
}

TEST(PolynomialLR, EndsAtZeroAndStaysThere) {
  for (const double power : {0.5, 1.0, 2.5}) {
    const Schedule polynomial = PolynomialLR{.total_iters = 1000, .power = power};
    EXPECT_EQ(lr(polynomial, 0), kBase);
    EXPECT_TRUE(same(lr(polynomial, 1000), 0.0));
    EXPECT_TRUE(same(lr(polynomial, kLastStep), 0.0));
  }
  EXPECT_EQ(lr(PolynomialLR{.power = 0.0}, 5), kBase);  // 0^0 = 1, as in Python
}

TEST(MultiStepLR, WithoutMilestonesIsTheBaseRate) {
  EXPECT_EQ(lr(MultiStepLR{}, 1000), kBase);
  std::vector<std::int64_t> every;
  for (std::int64_t t = 1; t <= 1000; ++t) every.push_back(t);
  const Schedule falling = MultiStepLR{.milestones = every, .gamma = 0.99};
  const Schedule exponential = ExponentialLR{.gamma = 0.99};
  for (std::int64_t t = 0; t <= 1000; ++t) EXPECT_EQ(lr(falling, t), lr(exponential, t)) << t;
  EXPECT_EQ(lr(falling, 5000), lr(exponential, 1000));
}

TEST(MultiStepLR, MilestoneAtZeroCountsFromTheFirstStep) {
  const Schedule falling = MultiStepLR{.milestones = {0, 0, 3}, .gamma = 0.5};
  EXPECT_EQ(lr(falling, 0), kBase * 0.25);
  EXPECT_EQ(lr(falling, 2), kBase * 0.25);
  EXPECT_EQ(lr(falling, 3), kBase * 0.125);
}

TEST(LambdaLR, IsCalledOncePerStepInOrderAndItsLastValueHolds) {
  std::vector<std::int64_t> calls;
  const Schedule table = LambdaLR{[&](std::int64_t t) {
                                    calls.push_back(t);
                                    return static_cast<double>(t * t);
                                  },
                                  4};
  EXPECT_EQ(calls, (std::vector<std::int64_t>{0, 1, 2, 3}));
  for (std::int64_t t = 0; t < 4; ++t) EXPECT_EQ(table.lr(1.0, t), static_cast<double>(t * t));
  EXPECT_EQ(table.lr(1.0, kLastStep), 9.0);
  EXPECT_EQ(calls.size(), 4u);
}

}  // namespace
}  // namespace onepass::test
