// laprop_test.cpp - LaProp gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr LaProp kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

double lr_average(OneElement<LaProp>& one) {
  return *static_cast<const double*>(one.optimizer().state("p", "exp_avg_lr_1").data);
}

// v = 0.25 * 4 = 1, v_hat = 4; 2 / (2 + 2) = 0.5; m = 0.5 * 0.25 * 0.5; p loses m / 0.5.
TEST(LaProp, FirstStepIsTheNormalisedGradient) {
  OneElement<LaProp> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.875f);
  EXPECT_EQ(one.state("exp_avg"), 0.0625f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
  EXPECT_EQ(lr_average(one), 0.125);
}

// Adam would divide the average by the root of the new moment, so that one large gradient shrinks all before.
TEST(LaProp, LargeGradientLeavesThePastOfTheAverageAlone) {
  OneElement<LaProp> one(LaProp{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.5});
  one.step(1.0f);
  one.step(1e6f);
  // 0.5 * 0.25 + 0.25 * 1e6 / sqrt((0.25 + 0.5e12) / 0.75)
  EXPECT_NEAR(one.state("exp_avg"), 0.125 + 0.25 * std::sqrt(1.5), 1e-6);
}

// The first quotient is in the average with the first rate, 0.5; a rate of 0.25 acts on the second alone.
TEST(LaProp, ChangedRateActsOnNewGradientsAlone) {
  OneElement<LaProp> one(LaProp{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.5, .eps = 0.0});
  const float before = one.step(1.0f);
  one.optimizer().set_lr(0.25);
  const float after = one.step(1.0f);
  EXPECT_FLOAT_EQ(one.state("exp_avg"), 0.25f);  // 0.5 * 0.25 + 0.5 * 0.25 * 1
  EXPECT_DOUBLE_EQ(lr_average(one), 0.25);       // 0.5 * 0.25 + 0.5 * 0.25
  EXPECT_FLOAT_EQ(after, before - 0.25f / 0.25f * 0.25f);
}

TEST(LaProp, RateOfZeroDividesByNothing) {
  OneElement<LaProp> one(LaProp{.lr = 0.0}, 1.0f);
  EXPECT_EQ(one.step(3.0f), 1.0f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
}

TEST(LaProp, DecayActsAfterTheStepByDefault) {
  LaProp rule = kExact;
  rule.weight_decay = 1.0;
  EXPECT_EQ(OneElement<LaProp>(rule, 1.0f).step(2.0f), 0.65625f);  // 0.875 * 0.75
}

TEST(LaProp, LateParameterIsCorrectedByItsOwnSteps) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.875f);
}

TEST(LaProp, NaNReachesTheParameter) {
  OneElement<LaProp> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace onepass::test
