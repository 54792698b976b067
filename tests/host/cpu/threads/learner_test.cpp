// learner_test.cpp - a learner finds the faster way by times alone, and hardly loses anything with the other
// one.
#include "host/cpu/threads/learner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

namespace onepass::cpu {
namespace {

/// Nanoseconds of both ways of doing the work.
struct Costs {
  double alone, together;
  [[nodiscard]] double least() const { return std::min(alone, together); }
};

/// What a number of runs took, and how many were done together.
struct Total {
  double nanoseconds = 0.0;
  int together = 0;
};

/// Runs on a clock that is told how long each run takes.
Total run(
    Learner& learner, int runs, const Costs& costs, double worth = 0.0, double expected = 1e5,
    const std::function<double()>& disturbance = [] { return 1.0; }) {
  Total total;
  for (int i = 0; i < runs; ++i) {
    const bool together = learner.together(expected, worth);
    const double took = (together ? costs.together : costs.alone) * disturbance();
    learner.took(together, took);
    total.nanoseconds += took;
    total.together += together ? 1 : 0;
  }
  return total;
}

TEST(Learner, FasterWayIsFoundAndTrialsOfTheOtherCostLittle) {
  for (const Costs costs : {Costs{100e3, 60e3}, Costs{60e3, 100e3}, Costs{50e3, 500e3}, Costs{500e3, 50e3},
                            Costs{100e3, 101e3}, Costs{20e3, 2e6}}) {
    for (const double expected : {1e5, 1e6}) {
      Learner learner;
      (void)run(learner, 10, costs, 150e3, expected);  // the first runs of both ways
      const Total total = run(learner, 1000, costs, 150e3, expected);
      const double least = costs.alone < 50e3 ? costs.alone : costs.least();
      EXPECT_LE(total.nanoseconds, 1.02 * 1000.0 * least) << costs.alone << ", " << costs.together;
    }
  }
}

TEST(Learner, FasterWayIsFoundAmongDisturbedTimes) {
  std::mt19937 random(7);
  // Every time differs by up to a third, and one of twenty is ten times as long.
  const auto disturbance = [&] {
    const double factor = 1.0 + static_cast<double>(random() % 1000) / 3000.0;
    return random() % 20 == 0 ? 10.0 * factor : factor;
  };
  for (const Costs costs : {Costs{100e3, 60e3}, Costs{60e3, 100e3}}) {
    Learner learner;
    const Total total = run(learner, 2000, costs, 0.0, 1e5, disturbance);
    const int faster = costs.together < costs.alone ? total.together : 2000 - total.together;
    EXPECT_GE(faster, 1500) << costs.alone << ", " << costs.together;
  }
}

TEST(Learner, WayThatIsOftenVerySlowIsNotUsed) {
  // Together is usually faster, but in one run of five a worker keeps the caller waiting.
  std::mt19937 random(7);
  Learner learner;
  int together = 0;
  for (int i = 0; i < 2000; ++i) {
    const bool chosen = learner.together(1e5, 0.0);
    learner.took(chosen, chosen ? (random() % 5 == 0 ? 3e6 : 60e3) : 100e3);
    together += chosen ? 1 : 0;
  }
  EXPECT_LE(together, 300);
}

TEST(Learner, ChoiceFollowsAChange) {
  Learner learner;
  (void)run(learner, 500, {100e3, 60e3});
  (void)run(learner, 200, {60e3, 100e3});
  EXPECT_LE(run(learner, 500, {60e3, 100e3}).together, 25);
  // The way that is used stays as it is, and the other one becomes faster.
  (void)run(learner, 300, {60e3, 30e3});
  EXPECT_GE(run(learner, 500, {60e3, 30e3}).together, 475);
}

TEST(Learner, ShortWorkIsNotTriedTogetherAndWorkThatIsLongerThanExpectedIs) {
  Learner learner_of_short, learner_of_longer;
  EXPECT_EQ(run(learner_of_short, 200, {40e3, 10e3}, 150e3, 60e3).together, 0);
  EXPECT_GE(run(learner_of_longer, 200, {135e3, 90e3}, 150e3, 60e3).together, 180);
}

TEST(Learner, LongWorkIsDoneTogetherWithoutATrial) {
  Learner learner;
  EXPECT_EQ(run(learner, 100, {10e6, 6e6}, 150e3, Learner::kNoDoubt).together, 100);
}

}  // namespace
}  // namespace onepass::cpu
