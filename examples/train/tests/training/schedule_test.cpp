// schedule_test.cpp - the table of schedules: the rates at the start, at the bends and at the end.
#include "training/schedule.hpp"

#include <cmath>

#include "tests/support.hpp"

namespace train {
namespace {

constexpr double kLr = 0.5;

onepass::Schedule schedule_of(const char* name, std::int64_t steps, std::int64_t warmup = 0) {
  Settings settings{.optimizer = "momentum", .lr = kLr};
  settings.schedule = name;
  settings.schedule_steps = steps;
  settings.warmup = warmup;
  return make_schedule(settings);
}

/// Checks the rates of some steps, given as shares of the peak.
void expect_rates(const onepass::Schedule& schedule, const std::vector<std::pair<int, double>>& expected) {
  for (const auto& [step, share] : expected) EXPECT_NEAR(schedule.lr(kLr, step), kLr * share, 1e-12) << step;
}

TEST(Schedule, EveryScheduleFollowsItsDescription) {
  expect_rates(schedule_of("constant", 100), {{0, 1}, {99, 1}, {1000, 1}});
  expect_rates(schedule_of("step", 100), {{0, 1}, {33, 1}, {34, 0.1}, {67, 0.1}, {68, 0.01}, {99, 0.01}});
  expect_rates(schedule_of("linear", 100), {{0, 1}, {25, 0.75}, {99, 0.01}, {100, 0}, {500, 0}});
  expect_rates(schedule_of("cosine", 100),
               {{0, 1}, {50, 0.5}, {25, 0.5 + std::sqrt(0.125)}, {100, 0}, {150, 0}, {200, 0}});
  // The cosines last 10, 20 and 40 steps.
  expect_rates(schedule_of("restarts", 70), {{0, 1}, {5, 0.5}, {10, 1}, {20, 0.5}, {30, 1}, {50, 0.5}});
  // The rise ends one step before 30 % of the steps, as in PyTorch.
  expect_rates(schedule_of("one-cycle", 100), {{0, 0.04}, {29, 1}, {99, 0.04e-4}, {500, 0.04e-4}});
  expect_rates(schedule_of("wsd", 100), {{0, 0}, {5, 0.5}, {10, 1}, {80, 1}, {90, 0.5}, {100, 0}, {500, 0}});
}

TEST(Schedule, TheWarmupMultipliesEveryScheduleExceptWsd) {
  expect_rates(schedule_of("constant", 100, 10), {{0, 0}, {3, 0.3}, {10, 1}, {99, 1}});
  expect_rates(schedule_of("step", 100, 50), {{0, 0}, {20, 0.4}, {40, 0.08}, {60, 0.1}, {70, 0.01}});
  expect_rates(schedule_of("one-cycle", 100, 58), {{0, 0}, {29, 0.5}, {99, 0.04e-4}});
  expect_rates(schedule_of("wsd", 100, 40),
               {{0, 0}, {20, 0.5}, {40, 1}, {80, 1}, {90, 0.5}});  // wsd takes the length for its own rise
  expect_rates(schedule_of("wsd", 10, 100), {{0, 0}, {50, 0.5}});  // a rise that never ends
}

TEST(Schedule, EveryScheduleWorksForOneStep) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    const double rate = schedule_of(std::string(kind.name).c_str(), 1).lr(kLr, 0);
    EXPECT_TRUE(rate >= 0.0 && rate <= kLr) << kind.name;
  }
}

TEST(Schedule, OneCycleDrivesTheMomentumOfRulesThatHaveOne) {
  for (const auto& [optimizer, drives] :
       {std::pair{"sgd", false}, {"nesterov", true}, {"rmsprop", false}, {"adam", true}, {"adamw", true}}) {
    Settings settings{.optimizer = optimizer, .lr = kLr};
    settings.schedule = "one-cycle";
    settings.schedule_steps = 10;
    EXPECT_EQ(make_schedule(settings).drives_momentum(), drives) << optimizer;
  }
}

}  // namespace
}  // namespace train
