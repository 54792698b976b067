// adopt_test.cpp - ADOPT gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The products of these numbers are exact in float32.
constexpr ADOPT kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.5};

TEST(ADOPT, FirstStepOnlySetsTheSecondMoment) {
  OneElement<ADOPT> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 1.0f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 4.0f);
}

TEST(ADOPT, FirstStepRestsWhateverTheStatesAre) {
  OneElement<ADOPT> one(kExact, 1.0f);
  *static_cast<float*>(one.optimizer().state("p", "exp_avg").data) = 1.0f;
  *static_cast<float*>(one.optimizer().state("p", "exp_avg_sq").data) = kNaN;
  EXPECT_EQ(one.step(2.0f), 1.0f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 4.0f);
}

// n = 1 / 2, m = 0.25; the second moment takes this gradient only afterwards: 0.75 * 4 + 0.25 * 1.
TEST(ADOPT, GradientIsDividedByTheMomentBeforeIt) {
  OneElement<ADOPT> one(kExact, 1.0f);
  one.step(2.0f);
  EXPECT_EQ(one.step(1.0f), 0.9375f);
  EXPECT_EQ(one.state("exp_avg"), 0.25f);
  EXPECT_EQ(one.state("exp_avg_sq"), 3.25f);
}

TEST(ADOPT, EpsIsTheLeastDenominatorAndNotASummand) {
  OneElement<ADOPT> one(kExact);
  one.step(0.25f);                       // root 0.25, below eps
  EXPECT_EQ(one.step(0.25f), -0.0625f);  // n = 0.25 / 0.5, m = 0.25
}

// The limits are those of t - 1: 1 at step 2, 2^0.25 at step 3.
TEST(ADOPT, NormalizedGradientIsClippedByTheStepBefore) {
  OneElement<ADOPT> one(kExact);
  one.step(2.0f);
  EXPECT_EQ(one.step(64.0f), -0.125f);  // n = 1, m = 0.5
  OneElement<ADOPT> other(kExact);
  other.step(2.0f);
  other.step(0.0f);
  const float before = other.step(0.0f);
  other.step(-1e6f);
  EXPECT_EQ(before, 0.0f);
  EXPECT_LE(ulp_distance(other.state("exp_avg"), static_cast<float>(-0.5 * std::pow(3.0, 0.25))), 1);
}

TEST(ADOPT, WithoutClipTheNormalizedGradientIsWhole) {
  ADOPT rule = kExact;
  rule.clip = false;
  OneElement<ADOPT> one(rule);
  one.step(2.0f);
  EXPECT_EQ(one.step(64.0f), -4.0f);  // n = 32, m = 16
}

// 1 - 0.9999f is 0.00010001659.
TEST(ADOPT, OneMinusBeta2IsRoundedOnlyAfterTheSubtraction) {
  OneElement<ADOPT> one(ADOPT{});
  one.step(0.0f);
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("exp_avg_sq"), static_cast<float>(1.0 - 0.9999)), 1);
}

TEST(ADOPT, DecoupledDecayStartsWithTheSecondStep) {
  ADOPT rule = kExact;
  rule.weight_decay = 0.5;
  rule.weight_decay_mode = WeightDecay::decoupled;
  OneElement<ADOPT> one(rule, 2.0f);
  EXPECT_EQ(one.step(2.0f), 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);  // (1 - 0.25 * 0.5) * 2
}

TEST(ADOPT, CoupledDecayIsInTheFirstSecondMoment) {
  ADOPT rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<ADOPT> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 2.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 4.0f);  // as with a gradient of 2
}

TEST(ADOPT, LateParameterRestsOnItsOwnFirstStep) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(first[0], 0.875f);
  EXPECT_EQ(late[0], 1.0f);
}

TEST(ADOPT, SkippedFirstStepStaysAFirstStep) {
  std::vector<float> p{1.0f}, gradient{kInf};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  optimizer.set_gradient_handling({.nonfinite = NonFinite::skip});
  optimizer.step();
  gradient[0] = 2.0f;
  optimizer.step();
  EXPECT_EQ(p[0], 1.0f);
  optimizer.step();
  EXPECT_EQ(p[0], 0.875f);  // n = 1, m = 0.5
}

TEST(ADOPT, FirstStepLeavesAnInfiniteParameterAlone) {
  EXPECT_EQ(OneElement<ADOPT>(kExact, kInf).step(1.0f), kInf);
}

TEST(ADOPT, NaNOnTheFirstStepReachesTheParameterOnTheSecond) {
  OneElement<ADOPT> one(kExact, 1.0f);
  EXPECT_EQ(one.step(kNaN), 1.0f);
  EXPECT_TRUE(std::isnan(one.state("exp_avg_sq")));
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
  EXPECT_TRUE(std::isnan(one.state("exp_avg")));
}

TEST(ADOPT, NaNSurvivesTheClip) {
  OneElement<ADOPT> one(kExact, 1.0f);
  one.step(1.0f);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
}

TEST(ADOPT, InfiniteGradientIsClippedAndReachesTheParameterTwoStepsLater) {
  OneElement<ADOPT> one(kExact);
  one.step(2.0f);
  EXPECT_EQ(one.step(kInf), -0.125f);  // n = 1
  EXPECT_EQ(one.state("exp_avg_sq"), kInf);
  EXPECT_EQ(one.step(1.0f), -0.1875f);  // n = 0
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
}

TEST(ADOPT, SecondMomentStaysFloat32InEveryFormat) {
  std::vector<float> value(64), gradient(64, 1.0f);
  Optimizer optimizer{ADOPT{},
                      std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}},
                      {.float32_storage = {.states = States::quantized8}}};
  EXPECT_EQ(optimizer.state("p", "exp_avg_sq").dtype, DType::float32);
  EXPECT_NE(optimizer.state("p", "exp_avg").dtype, DType::float32);
}

}  // namespace
}  // namespace onepass::test
