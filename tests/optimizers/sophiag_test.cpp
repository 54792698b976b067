// sophiag_test.cpp - the step of Sophia-G gives answers worked out by hand; conformance.cpp compares it with
// its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The products of these numbers are exact; rho * batch_size is 4.
constexpr SophiaG kExact{.lr = 0.25, .beta1 = 0.5, .rho = 0.5, .batch_size = 8.0, .weight_decay = 0.0};

/// Takes a step with a given estimate of the Hessian.
float step(OneElement<SophiaG>& one, float gradient, float hessian) {
  *static_cast<float*>(one.optimizer().state("p", "hessian").data) = hessian;
  return one.step(gradient);
}

float first_step(float gradient, float hessian) {
  OneElement<SophiaG> one(kExact, 1.0f);
  return step(one, gradient, hessian);
}

// m = 1, without bias correction, over 4 * 0.5.
TEST(SophiaG, StepIsTheAverageOverTheScaledHessian) {
  EXPECT_EQ(first_step(2.0f, 0.5f), 0.875f);
  EXPECT_EQ(first_step(-2.0f, 0.5f), 1.125f);
  EXPECT_EQ(first_step(-2.0f, 2.0f), 1.03125f);
}

TEST(SophiaG, StepIsAtMostLr) {
  EXPECT_EQ(first_step(2.0f, 0.25f), 0.75f);  // the ratio is 1
  EXPECT_EQ(first_step(2.0f, 0.125f), 0.75f);
  EXPECT_EQ(first_step(-2.0f, 0.125f), 1.25f);
}

TEST(SophiaG, WithoutHessianTheStepIsTheSignOfTheAverage) {
  EXPECT_EQ(first_step(1e-6f, 0.0f), 0.75f);
  EXPECT_EQ(first_step(-1e6f, 0.0f), 1.25f);
  EXPECT_EQ(first_step(0.0f, 0.0f), 1.0f);
}

TEST(SophiaG, StepLeavesTheHessianAlone) {
  OneElement<SophiaG> one(kExact, 1.0f);
  step(one, 2.0f, 0.5f);
  EXPECT_EQ(one.state("hessian"), 0.5f);
  one.step(100.0f);
  EXPECT_EQ(one.state("hessian"), 0.5f);
}

TEST(SophiaG, Beta2IsOfNoConcernToAStep) {
  SophiaG other = kExact;
  other.beta2 = 0.0;
  OneElement<SophiaG> one(other, 1.0f);
  EXPECT_EQ(step(one, 2.0f, 0.5f), 0.875f);
}

TEST(SophiaG, AverageIsTheMomentumOfEarlierSteps) {
  OneElement<SophiaG> one(kExact, 1.0f);
  step(one, 2.0f, 0.5f);
  EXPECT_EQ(one.step(0.0f), 0.8125f);  // 0.5 / 2 of lr
  EXPECT_EQ(one.state("exp_avg"), 0.5f);
}

TEST(SophiaG, DecayShrinksTheParameterByDefault) {
  EXPECT_EQ(SophiaG{}.weight_decay, 0.1);
  SophiaG rule = kExact;
  rule.weight_decay = 0.5;
  EXPECT_EQ(OneElement<SophiaG>(rule, 2.0f).step(0.0f), 1.75f);
}

TEST(SophiaG, InfiniteGradientMovesByLrAndThenGivesNaN) {
  OneElement<SophiaG> one(kExact, 1.0f);
  EXPECT_EQ(one.step(kInf), 0.75f);
  EXPECT_EQ(one.state("exp_avg"), kInf);
  EXPECT_TRUE(std::isnan(one.step(0.0f)));
}

TEST(SophiaG, NaNSurvivesTheClip) {
  EXPECT_TRUE(std::isnan(first_step(kNaN, 0.5f)));
  EXPECT_TRUE(std::isnan(first_step(2.0f, kNaN)));
}

TEST(SophiaG, InfiniteHessianStopsTheElement) { EXPECT_EQ(first_step(2.0f, kInf), 1.0f); }

TEST(SophiaG, ProductOfRhoAndBatchSizeMustBeFinite) {
  EXPECT_THROW(OneElement<SophiaG>({.rho = 1e30, .batch_size = 1e30}), InvalidArgument);
}

}  // namespace
}  // namespace onepass::test
