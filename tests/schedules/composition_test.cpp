// composition_test.cpp - compares sequences, chains and nested compositions with their schedules.
#include <gtest/gtest.h>

#include <bit>

#include "schedules/golden_schedules.hpp"

namespace onepass::test {
namespace {

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

testing::AssertionResult same_rates(const Rates& wanted, const Rates& actual) {
  if (same(wanted.lr, actual.lr) && wanted.drives_momentum == actual.drives_momentum &&
      same(wanted.momentum, actual.momentum)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "expected lr " << wanted.lr << " and momentum " << wanted.momentum
                                     << ", is " << actual.lr << " and " << actual.momentum;
}

// For all pairs of kinds and compositions: in a sequence each schedule gives its own rate at its own step.
TEST(SequentialLR, RunsAnySecondScheduleAfterAnyFirst) {
  const std::vector<NamedSchedule> all = golden_schedules();
  constexpr std::int64_t kMilestone = 137;
  for (const NamedSchedule& first : all) {
    for (const NamedSchedule& second : all) {
      const Schedule both = SequentialLR{{first.schedule, second.schedule}, {kMilestone}};
      for (const std::int64_t t : {0, 1, 50, 136, 137, 138, 142, 167, 300, 1137, 9000}) {
        const Rates wanted =
            t < kMilestone ? first.schedule.rates(0.3, t) : second.schedule.rates(0.3, t - kMilestone);
        ASSERT_TRUE(same_rates(wanted, both.rates(0.3, t)))
            << first.name << ", " << second.name << " at step " << t;
      }
    }
  }
}

TEST(ChainedScheduler, AppliesAnySecondScheduleToTheRateOfAnyFirst) {
  const std::vector<NamedSchedule> all = golden_schedules();
  for (const NamedSchedule& first : all) {
    for (const NamedSchedule& second : all) {
      const Schedule both = ChainedScheduler{{first.schedule, second.schedule}};
      for (const std::int64_t t : {0, 1, 50, 137, 300, 1137, 9000}) {
        const Rates below = first.schedule.rates(0.3, t);
        Rates wanted = second.schedule.rates(below.lr, t);
        if (!wanted.drives_momentum) {
          wanted.momentum = below.momentum;
          wanted.drives_momentum = below.drives_momentum;
        }
        ASSERT_TRUE(same_rates(wanted, both.rates(0.3, t)))
            << first.name << ", " << second.name << " at step " << t;
      }
    }
  }
}

TEST(SequentialLR, CompositionOfOneScheduleEqualsThatSchedule) {
  for (const NamedSchedule& one : golden_schedules()) {
    EXPECT_EQ(Schedule(SequentialLR{{one.schedule}, {}}), one.schedule) << one.name;
    EXPECT_EQ(Schedule(ChainedScheduler{{one.schedule}}), one.schedule) << one.name;
  }
}

TEST(SequentialLR, SchedulesWithoutStepsAreLeftOut) {
  const std::vector<NamedSchedule> all = golden_schedules();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const NamedSchedule& one = all[i];
    const Schedule &empty = all[(i + 1) % all.size()].schedule, &last = all[(i + 2) % all.size()].schedule;
    const Schedule two = SequentialLR{{one.schedule, last}, {137}};
    EXPECT_EQ(Schedule(SequentialLR{{empty, one.schedule}, {0}}), one.schedule) << one.name;
    EXPECT_EQ(Schedule(SequentialLR{{empty, empty, one.schedule}, {0, 0}}), one.schedule) << one.name;
    EXPECT_EQ(Schedule(SequentialLR{{one.schedule, empty, last}, {137, 137}}), two) << one.name;
  }
}

TEST(SequentialLR, StartsNestedSequencesAtTheirOwnStepZero) {
  const Schedule inner = SequentialLR{{WarmUp{.steps = 10}, ExponentialLR{.gamma = 0.5}}, {20}};
  const Schedule outer = SequentialLR{{inner, StepLR{.step_size = 3}, inner}, {15, 25}};
  for (std::int64_t t = 0; t < 15; ++t) EXPECT_TRUE(same(outer.lr(1.0, t), inner.lr(1.0, t))) << t;
  for (std::int64_t t = 15; t < 25; ++t) {
    EXPECT_TRUE(same(outer.lr(1.0, t), Schedule(StepLR{.step_size = 3}).lr(1.0, t - 15))) << t;
  }
  for (std::int64_t t = 25; t < 80; ++t) EXPECT_TRUE(same(outer.lr(1.0, t), inner.lr(1.0, t - 25))) << t;
  // The inner milestone at 20 lies beyond the outer one at 15, so the composition leaves that segment out.
  EXPECT_EQ(outer.segments().size(), 4u);
}

TEST(SequentialLR, TablesAndMilestonesKeepTheirNumbers) {
  const Schedule table = LambdaLR{[](std::int64_t t) { return 1.0 + static_cast<double>(t); }, 4};
  const Schedule steps = MultiStepLR{.milestones = {2, 3}, .gamma = 0.5};
  const Schedule all = ChainedScheduler{
      {SequentialLR{{steps, table, steps}, {5, 10}}, SequentialLR{{table, Schedule(), table}, {3, 8}}}};
  for (std::int64_t t = 0; t < 30; ++t) {
    const double first = t < 5 ? steps.lr(1.0, t) : t < 10 ? table.lr(1.0, t - 5) : steps.lr(1.0, t - 10);
    const double second = t < 3 ? table.lr(1.0, t) : t < 8 ? 1.0 : table.lr(1.0, t - 8);
    EXPECT_EQ(all.lr(1.0, t), first * second) << t;
  }
}

TEST(SequentialLR, DrivesTheMomentumOnlyWhereItsScheduleDoes) {
  const Schedule sequence =
      SequentialLR{{WarmUp{.steps = 5}, OneCycleLR{.max_lr = 1.0, .total_steps = 10}, Schedule()}, {5, 15}};
  EXPECT_TRUE(sequence.drives_momentum());
  for (std::int64_t t = 0; t < 20; ++t) {
    EXPECT_EQ(sequence.rates(0.1, t).drives_momentum, t >= 5 && t < 15) << t;
  }
  EXPECT_FALSE(Schedule(WarmUp{.steps = 5}).drives_momentum());
}

TEST(Schedule, MovedFromScheduleIsTheBaseRate) {
  Schedule moved = StepLR{.step_size = 1};
  const Schedule taken = std::move(moved);
  EXPECT_EQ(moved.lr(0.3, 5), 0.3);  // NOLINT: the test is about the use after move
  const Schedule both = ChainedScheduler{{moved, taken}};
  EXPECT_EQ(both.lr(0.3, 1), taken.lr(0.3, 1));
}

}  // namespace
}  // namespace onepass::test
