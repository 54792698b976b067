// radam_test.cpp - RAdam gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// With this beta2, rho_inf is 7, rho is 4.84 at step 7 and 5.22 at step 8.
constexpr RAdam kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

/// Steps with a gradient of 2 until the parameter has taken `steps` steps.
float run(OneElement<RAdam>& one, int steps) {
  float p = 0.0f;
  for (int step = 0; step < steps; ++step) p = one.step(2.0f);
  return p;
}

// The corrected first moment of a constant gradient is the gradient.
TEST(RAdam, FirstStepsAreThoseOfMomentumWithBiasCorrection) {
  OneElement<RAdam> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.5f);  // m = 1, m_hat = 1 / 0.5 = 2
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
  EXPECT_NEAR(run(one, 6), 0.5 - 6 * 0.5, 1e-5);
}

// v = 4 (1 - 0.75^8). If eps were added after the correction, sqrt(v) would be 2 and the step 8% smaller.
TEST(RAdam, FirstRectifiedStepDividesByTheUncorrectedRootPlusEps) {
  OneElement<RAdam> one(kExact, 1.0f);
  const float before = run(one, 7);
  const double kept = std::pow(0.75, 8), rho = 7 - 16 * kept / (1 - kept);
  ASSERT_GT(rho, 5.0);
  const double r = std::sqrt((rho - 4) * (rho - 2) * 7 / (3.0 * 5.0 * rho));
  const double root = std::sqrt(1 - kept);
  const double wanted = 0.25 * 2.0 * r * root / (2.0 * root + 2.0);
  EXPECT_NEAR(before - one.step(2.0f), wanted, 1e-6);
}

TEST(RAdam, RectifiesFromStepSixAtTheDefaultBeta2) {
  constexpr float kGradient = 1e-3f;
  OneElement<RAdam> one({.lr = 1.0, .eps = 0.0});
  double before = 0.0;
  for (int step = 1; step <= 5; ++step) {
    const double p = one.step(kGradient);
    EXPECT_NEAR(before - p, 1e-3, 1e-8) << step;
    before = p;
  }
  // sqrt(1 - beta2^6) cancels against the root, whose v is g^2 (1 - beta2^6).
  const double kept = std::pow(0.999, 6), rho = 1999 - 12 * kept / (1 - kept);
  const double r = std::sqrt((rho - 4) * (rho - 2) * 1999 / (1995.0 * 1997.0 * rho));
  EXPECT_NEAR(before - static_cast<double>(one.step(kGradient)), r, 1e-4 * r);
}

TEST(RAdam, RectificationTendsToOne) {
  OneElement<RAdam> one({.lr = 1.0, .beta2 = 0.75, .eps = 0.0});
  const double before = run(one, 400);
  EXPECT_NEAR(before - static_cast<double>(one.step(2.0f)), 1.0, 1e-4);  // Adam's step
}

// 0 * Inf and 0 * NaN would be NaN.
TEST(RAdam, StepWithoutDenominatorDoesNotReadTheSecondMoment) {
  for (const float moment :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    OneElement<RAdam> one(kExact, 1.0f);
    *static_cast<float*>(one.optimizer().state("p", "exp_avg_sq").data) = moment;
    EXPECT_EQ(one.step(2.0f), 0.5f);
  }
  EXPECT_EQ(OneElement<RAdam>(kExact).step(1e20f), -2.5e19f);  // the square is Inf
}

TEST(RAdam, SmallBeta2IsNeverRectified) {
  OneElement<RAdam> one({.lr = 0.25, .beta1 = 0.5, .beta2 = 0.5});
  double before = run(one, 50);
  EXPECT_EQ(before - static_cast<double>(one.step(2.0f)), 0.5);
}

TEST(RAdam, CoupledDecayIsTheDefaultAndPassesThroughTheMoments) {
  RAdam rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<RAdam> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.5f);  // as with a gradient of 2
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
}

TEST(RAdam, LateParameterIsRectifiedByItsOwnStepCount) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  for (int step = 0; step < 8; ++step) optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.5f);  // as on every parameter's first step
}

TEST(RAdam, InfiniteGradientReachesMomentsAndParameter) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  OneElement<RAdam> one(kExact, 1.0f);
  EXPECT_EQ(one.step(kInf), -kInf);
  EXPECT_EQ(one.state("exp_avg"), kInf);
  EXPECT_EQ(one.state("exp_avg_sq"), kInf);
  EXPECT_TRUE(std::isnan(one.step(0.0f)));
}

}  // namespace
}  // namespace onepass::test
