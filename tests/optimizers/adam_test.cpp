// adam_test.cpp - Adam gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr Adam kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

// m = 0.5 * 2 = 1, m_hat = 1 / 0.5 = 2; v = 0.25 * 4 = 1, v_hat = 1 / 0.25 = 4; 2 / (2 + eps) = 0.5.
TEST(Adam, BothMomentsAreCorrectedForTheirStartAtZero) {
  OneElement<Adam> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.875f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
}

// m = 0.5, m_hat = 0.5 / 0.75; v = 0.75, v_hat = 0.75 / (1 - 0.75^2).
TEST(Adam, SecondStepIsCorrectedByThePowersOfTheBetas) {
  OneElement<Adam> one(kExact, 1.0f);
  one.step(2.0f);
  const double wanted = 0.875 - 0.25 * (0.5 / 0.75) / (std::sqrt(0.75 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(one.step(0.0f), static_cast<float>(wanted)), 1);
}

TEST(Adam, FirstStepMovesTheParameterByLrForAnyGradient) {
  for (const float gradient : {1e-3f, -1.0f, 1e4f}) {
    const float moved = OneElement<Adam>({.lr = 0.5, .eps = 0.0}).step(gradient);
    EXPECT_LE(ulp_distance(moved, gradient > 0 ? -0.5f : 0.5f), 4) << gradient;
  }
}

// 1 - 0.999f is 0.00100004673. If beta2 were rounded first, every second moment would be 47 parts in a
// million too large.
TEST(Adam, OneMinusBetaIsRoundedOnlyAfterTheSubtraction) {
  OneElement<Adam> one(Adam{});
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("exp_avg_sq"), static_cast<float>(1.0 - 0.999)), 1);
  EXPECT_LE(ulp_distance(one.state("exp_avg"), static_cast<float>(1.0 - 0.9)), 1);
}

// v is 1, then 0.75. A maximum of the corrected moments, 4 and 0.75 / 0.4375, would be 4 instead.
TEST(Adam, AmsGradKeepsTheLargestUncorrectedMoment) {
  Adam rule = kExact;
  rule.amsgrad = true;
  OneElement<Adam> one(rule, 1.0f);
  one.step(2.0f);
  const float moved = one.step(0.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 0.75f);
  EXPECT_EQ(one.state("max_exp_avg_sq"), 1.0f);
  const double wanted = 0.875 - 0.25 * (0.5 / 0.75) / (std::sqrt(1.0 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(moved, static_cast<float>(wanted)), 1);
}

TEST(Adam, NaNWinsTheMaximum) {
  Adam rule = kExact;
  rule.amsgrad = true;
  OneElement<Adam> one(rule, 1.0f);
  one.step(2.0f);
  one.step(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(one.state("max_exp_avg_sq")));
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
}

TEST(Adam, LateParameterIsCorrectedByItsOwnStepCount) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.875f);  // as on every parameter's first step
  EXPECT_EQ(optimizer.step_count("first"), 2);
  EXPECT_EQ(optimizer.step_count("late"), 1);
}

TEST(Adam, ParameterWithoutGradientKeepsItsStepCount) {
  std::vector<float> steady{1.0f}, resting{1.0f}, gradient{2.0f}, other_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"steady", std::span(steady), std::span(gradient)},
                                                     {"resting", std::span(resting)}}};
  optimizer.step();
  optimizer.step();
  EXPECT_EQ(resting[0], 1.0f);
  EXPECT_EQ(optimizer.step_count("resting"), 0);
  optimizer.set_gradients(std::vector<Tensor>{std::span(gradient), std::span(other_gradient)});
  optimizer.step();
  EXPECT_EQ(resting[0], 0.875f);
  EXPECT_EQ(optimizer.step_count("steady"), 3);
  EXPECT_EQ(optimizer.step_count("resting"), 1);
}

TEST(Adam, InfiniteGradientReachesMomentsAndParameter) {
  OneElement<Adam> one(Adam{}, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::infinity())));  // Inf / Inf
  EXPECT_TRUE(std::isinf(one.state("exp_avg")));
  EXPECT_TRUE(std::isinf(one.state("exp_avg_sq")));
  one.step(0.0f);
  EXPECT_TRUE(std::isnan(one.state("exp_avg")));
}

TEST(Adam, CoupledDecayPassesThroughTheMoments) {
  Adam rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<Adam> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.875f);  // as with a gradient of 2
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
}

}  // namespace
}  // namespace onepass::test
