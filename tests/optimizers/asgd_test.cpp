// asgd_test.cpp - ASGD gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// lambd * lr = 1, so that eta is 0.5, 0.25, 0.5 / 3, ...
constexpr ASGD kExact{.lr = 0.5, .lambd = 2.0, .alpha = 1.0, .t0 = 0.0};

// The first step decays by all of p: 2 * 0.5.
TEST(ASGD, StepsByARateThatFalls) {
  OneElement<ASGD> one(kExact, 4.0f);
  EXPECT_EQ(one.step(2.0f), -1.0f);  // 4 - (1 * 4 + 0.5 * 2)
  EXPECT_EQ(one.step(2.0f), -1.0f);  // -1 - (0.5 * -1 + 0.25 * 2)
}

// mu is 1 in steps 1 and 2, then 1 / 2.
TEST(ASGD, AveragesFromTheThirdStepOnIfT0IsZero) {
  OneElement<ASGD> one(ASGD{.lr = 1.0, .lambd = 0.0, .t0 = 0.0});
  EXPECT_EQ(one.step(1.0f), -1.0f);
  EXPECT_EQ(one.state("ax"), -1.0f);
  EXPECT_EQ(one.step(1.0f), -2.0f);
  EXPECT_EQ(one.state("ax"), -2.0f);
  EXPECT_EQ(one.step(1.0f), -3.0f);
  EXPECT_EQ(one.state("ax"), -2.5f);
}

TEST(ASGD, AverageIsTheParameterBeforeT0) {
  OneElement<ASGD> one(ASGD{.lr = 0.5}, 1.0f);
  for (const float gradient : {1.0f, -2.0f, 3.0f}) {
    const float p = one.step(gradient);
    EXPECT_EQ(one.state("ax"), p);
  }
}

// As in PyTorch, a step computes the rate of the next one.
TEST(ASGD, ChangedRateActsAStepLate) {
  OneElement<ASGD> one(ASGD{.lr = 1.0, .lambd = 0.0});
  EXPECT_EQ(one.step(1.0f), -1.0f);
  one.optimizer().set_lr(0.25);
  EXPECT_EQ(one.step(1.0f), -2.0f);
  EXPECT_EQ(one.step(1.0f), -2.25f);
}

TEST(ASGD, DecoupledDecayJoinsLambd) {
  ASGD rule{.lr = 0.5, .lambd = 0.0, .weight_decay = 0.5, .weight_decay_mode = WeightDecay::decoupled};
  OneElement<ASGD> one(rule, 2.0f);
  EXPECT_EQ(one.step(1.0f), 1.0f);  // 2 - (0.25 * 2 + 0.5)
  EXPECT_EQ(one.state("ax"), 1.0f);
}

TEST(ASGD, OtherDecaysAreRefused) {
  for (const WeightDecay form :
       {WeightDecay::after, WeightDecay::proximal, WeightDecay::corrected, WeightDecay::cautious}) {
    ASGD rule;
    rule.weight_decay_mode = form;
    try {
      OneElement<ASGD> one(rule);
      FAIL();
    } catch (const InvalidArgument& error) {
      EXPECT_NE(std::string(error.what()).find("ASGD: weight_decay_mode must be coupled or decoupled"),
                std::string::npos);
    }
  }
}

TEST(ASGD, NaNReachesParameterAndAverage) {
  OneElement<ASGD> one(ASGD{}, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(one.state("ax")));
}

}  // namespace
}  // namespace onepass::test
