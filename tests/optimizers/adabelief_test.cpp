// adabelief_test.cpp - AdaBelief gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr AdaBelief kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.75};

// m = 1, g - m = 1, s = 0.25 * 1 + 0.75 = 1, s_hat = 4, m_hat = 2: p = 1 - 0.25 * 2 / (2 + 0.75).
TEST(AdaBelief, DividesByTheDistanceFromTheNewAverage) {
  OneElement<AdaBelief> one(kExact, 1.0f);
  EXPECT_LE(ulp_distance(one.step(2.0f), static_cast<float>(1.0 - 0.5 / 2.75)), 1);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_var"), 1.0f);
}

// g = m, so that nothing but eps joins the decayed variance.
TEST(AdaBelief, EpsStaysInTheState) {
  OneElement<AdaBelief> one(kExact, 1.0f);
  one.step(2.0f);
  one.step(1.0f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_var"), 1.5f);  // 0.75 * 1 + 0.75
  one.step(1.0f);
  EXPECT_EQ(one.state("exp_avg_var"), 1.875f);
}

TEST(AdaBelief, SecondStepIsCorrectedByThePowersOfTheBetas) {
  OneElement<AdaBelief> one(kExact, 1.0f);
  const double first = one.step(2.0f);
  const double wanted = first - 0.25 * (1.0 / 0.75) / (std::sqrt(1.5 / 0.4375) + 0.75);
  EXPECT_LE(ulp_distance(one.step(1.0f), static_cast<float>(wanted)), 1);
}

// The variance is (0.1 g)^2 after many equal gradients of Adam, and falls with beta2 here.
TEST(AdaBelief, EqualGradientsGiveLongerStepsThanAdam) {
  OneElement<AdaBelief> one(AdaBelief{});
  OneElement<Adam> other(Adam{});
  for (int step = 0; step < 300; ++step) one.step(1.0f), other.step(1.0f);
  EXPECT_LT(one.step(1.0f), 2.0f * other.step(1.0f));
}

TEST(AdaBelief, GradientsOfZeroLeaveTheParameter) {
  OneElement<AdaBelief> one(AdaBelief{}, 1.0f);
  for (int step = 0; step < 3; ++step) EXPECT_EQ(one.step(0.0f), 1.0f);
  EXPECT_GT(one.state("exp_avg_var"), 2.9e-16f);  // the eps of three steps
}

// After 10,000 steps the state is eps / (1 - beta2) but for 5e-5 of it and the rounding of each step.
TEST(AdaBelief, EpsThatTheStateAddsUpToInfinityIsRefused) {
  EXPECT_THROW(OneElement<AdaBelief>({.eps = 3e35}), InvalidArgument);
  EXPECT_THROW(OneElement<AdaBelief>({.beta2 = 0.5, .eps = 1e38}), InvalidArgument);
  OneElement<AdaBelief> one({.eps = 1.7e35}, 1.0f);
  for (int step = 0; step < 10000; ++step) one.step(0.0f);
  EXPECT_NEAR(one.state("exp_avg_var"), 1.7e38, 2e35);
  EXPECT_EQ(one.step(0.0f), 1.0f);
}

/// With this beta2, rho_inf is 7, rho is 4.84 at step 7 and 5.22 at step 8.
constexpr AdaBelief kRectified{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.75, .rectify = true};

TEST(AdaBelief, RectifiedFirstStepsHaveNoDenominator) {
  OneElement<AdaBelief> one(kRectified, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.5f);  // m_hat = 2
  *static_cast<float*>(one.optimizer().state("p", "exp_avg_var").data) =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_NEAR(one.step(2.0f), 0.0f, 1e-6);
}

TEST(AdaBelief, RectifiedStepDividesByTheUncorrectedRoot) {
  OneElement<AdaBelief> one(kRectified, 1.0f);
  double before = 0.0, s = 0.0, m = 0.0;
  for (int step = 1; step <= 8; ++step) {
    m = 0.5 * m + 0.5 * 2.0;
    s = 0.75 * s + 0.25 * (2.0 - m) * (2.0 - m) + 0.75;
    if (step < 8) before = one.step(2.0f);
  }
  const double kept = std::pow(0.75, 8), rho = 7 - 16 * kept / (1 - kept);
  const double r = std::sqrt((rho - 4) * (rho - 2) * 7 / (3.0 * 5.0 * rho));
  const double wanted = 0.25 * r * 2.0 * std::sqrt(1 - kept) / (std::sqrt(s) + 0.75);
  EXPECT_NEAR(before - static_cast<double>(one.step(2.0f)), wanted, 1e-6);
}

TEST(AdaBelief, DecayIsDecoupledByDefault) {
  AdaBelief rule = kExact;
  rule.weight_decay = 0.5;
  OneElement<AdaBelief> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
}

TEST(AdaBelief, LateParameterIsCorrectedByItsOwnStepCount) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  const float after_one = first[0];
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], after_one);
}

TEST(AdaBelief, InfiniteGradientReachesAverageAndVarianceAndParameter) {
  OneElement<AdaBelief> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::infinity())));
  EXPECT_TRUE(std::isinf(one.state("exp_avg")));
  EXPECT_TRUE(std::isnan(one.state("exp_avg_var")));  // Inf - Inf
}

}  // namespace
}  // namespace onepass::test
