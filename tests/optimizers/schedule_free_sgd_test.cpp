// schedule_free_sgd_test.cpp - Schedule-Free SGD gives answers worked out by hand; conformance.cpp compares
// it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr ScheduleFreeSGD kExact{.lr = 0.5, .momentum = 0.5};

double scalar(Optimizer& optimizer, const char* name) {
  return *static_cast<const double*>(optimizer.state("p", name).data);
}

// c is 1, then 1/2: all weights are equal at a constant rate.
TEST(ScheduleFreeSGD, FirstStepsFollowTheThreeSequences) {
  OneElement<ScheduleFreeSGD> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.0f);  // y = z = x = 1 - 0.5 * 2
  EXPECT_EQ(one.state("z_minus_y"), 0.0f);
  // z = 0 - 1 = -1, x = (0 - 1) / 2, y = (x + z) / 2 = -0.75
  EXPECT_EQ(one.step(2.0f), -0.75f);
  EXPECT_EQ(one.state("z_minus_y"), -0.25f);
  EXPECT_EQ(scalar(one.optimizer(), "weight_sum"), 0.5);
  EXPECT_EQ(scalar(one.optimizer(), "lr_max"), 0.5);
}

// The sequences of the paper in float64, with z and x kept apart.
TEST(ScheduleFreeSGD, TheEvaluationPointIsTheMeanOfZ) {
  OneElement<ScheduleFreeSGD> one({.lr = 0.1, .momentum = 0.9}, 1.0f);
  double z = 1.0, sum = 0.0;
  std::mt19937 random(5);
  std::uniform_real_distribution<float> draw(-1.0f, 1.0f);
  float y = 1.0f;
  for (int t = 1; t <= 500; ++t) {
    const float gradient = draw(random) + 0.3f;
    y = one.step(gradient);
    z -= 0.1 * gradient;
    sum += z;
    const double x = y - (1.0 / 0.9 - 1.0) * one.state("z_minus_y");
    ASSERT_NEAR(x, sum / t, 2e-6 * (1.0 + std::fabs(x))) << t;
  }
}

TEST(ScheduleFreeSGD, WarmUpRaisesRateAndWeight) {
  OneElement<ScheduleFreeSGD> one({.lr = 1.0, .momentum = 0.5, .warmup_steps = 4.0}, 0.0f);
  EXPECT_EQ(one.step(1.0f), -0.25f);
  EXPECT_EQ(scalar(one.optimizer(), "lr_max"), 0.25);
  one.step(1.0f);
  EXPECT_EQ(scalar(one.optimizer(), "weight_sum"), 0.0625 + 0.25);
}

TEST(ScheduleFreeSGD, FallingRateKeepsTheWeightOfTheLargest) {
  OneElement<ScheduleFreeSGD> one(kExact, 0.0f);
  one.step(1.0f);
  one.optimizer().set_lr(0.25);
  one.step(1.0f);
  EXPECT_EQ(scalar(one.optimizer(), "lr_max"), 0.5);
  EXPECT_EQ(scalar(one.optimizer(), "weight_sum"), 0.5);
}

TEST(ScheduleFreeSGD, RateOfZeroMovesNothing) {
  OneElement<ScheduleFreeSGD> one({.lr = 0.0}, 1.0f);
  EXPECT_EQ(one.step(3.0f), 1.0f);
  EXPECT_EQ(scalar(one.optimizer(), "weight_sum"), 0.0);
}

TEST(ScheduleFreeSGD, DecayIsAPartOfTheDirection) {
  ScheduleFreeSGD rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<ScheduleFreeSGD> one(rule, 1.0f);
  EXPECT_EQ(one.step(1.0f), 0.0f);  // u = 1 + 1
}

TEST(ScheduleFreeSGD, DecayThatIsOffLeavesInfinityAlone) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(OneElement<ScheduleFreeSGD>(kExact, kInf).step(1.0f), kInf);
}

TEST(ScheduleFreeSGD, WhatItCannotDoIsRefused) {
  const auto sentence = [](const ScheduleFreeSGD& rule) -> std::string {
    try {
      OneElement<ScheduleFreeSGD> one(rule);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(sentence({.momentum = 0.0}).find("momentum must be above 0"), std::string::npos);
  EXPECT_NE(sentence({.weight_decay_mode = WeightDecay::after}).find("coupled or decoupled"),
            std::string::npos);
}

}  // namespace
}  // namespace onepass::test
