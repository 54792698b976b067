// rmsprop_test.cpp - RMSProp gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

// square_avg = 0.25 * 2^2 = 1, so the divisor is sqrt(1 + 3) = 2 or 1 + 3 = 4.
TEST(RMSProp, EpsilonIsInsideTheRootByDefaultAndOutsideOnRequest) {
  const RMSProp rule{.lr = 1.0, .alpha = 0.75, .eps = 3.0};
  EXPECT_EQ(OneElement<RMSProp>(rule).step(2.0f), -1.0f);
  RMSProp outside = rule;
  outside.epsilon = Epsilon::outside_root;
  EXPECT_EQ(OneElement<RMSProp>(outside).step(2.0f), -0.5f);
}

// square_avg = 0.5 * 2^2 = 2, grad_avg = 0.5 * 2 = 1, variance = 2 - 1^2 = 1.
TEST(RMSProp, CenteredDividesByTheStandardDeviation) {
  const RMSProp rule{.lr = 1.0, .alpha = 0.5, .eps = 3.0, .centered = true};
  OneElement<RMSProp> one(rule);
  EXPECT_EQ(one.step(2.0f), -1.0f);  // 2 / sqrt(1 + 3)
  EXPECT_EQ(one.state("square_avg"), 2.0f);
  EXPECT_EQ(one.state("grad_avg"), 1.0f);
}

// A constant gradient has no variance, so E[g^2] - E[g]^2 is nothing but rounding error, of either sign.
TEST(RMSProp, CenteredVarianceBelowZeroByRoundingCountsAsZero) {
  std::vector<float> p(1000, 0.0f), gradient(p.size());
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = 0.1f + 0.001f * static_cast<float>(i);
  Optimizer optimizer{
      RMSProp{.lr = 1e-3, .alpha = 0.9, .eps = 1e-8, .epsilon = Epsilon::outside_root, .centered = true},
      std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  const auto* square = static_cast<const float*>(optimizer.state("p", "square_avg").data);
  const auto* mean = static_cast<const float*>(optimizer.state("p", "grad_avg").data);
  int below_zero = 0;
  for (int step = 0; step < 500; ++step) {
    optimizer.step();
    for (std::size_t i = 0; i < p.size(); ++i) {
      ASSERT_TRUE(std::isfinite(p[i])) << "element " << i << ", step " << step;
      if (static_cast<double>(square[i]) < static_cast<double>(mean[i]) * mean[i]) ++below_zero;
    }
  }
  EXPECT_GT(below_zero, 100) << "the test does not test what it says";
}

TEST(RMSProp, MomentumAccumulatesTheNormalizedGradient) {
  OneElement<RMSProp> one({.lr = 0.5, .alpha = 0.75, .eps = 3.0, .momentum = 0.5});
  EXPECT_EQ(one.step(2.0f), -0.5f);  // x = 2 / 2
  EXPECT_EQ(one.state("momentum_buffer"), 1.0f);
  EXPECT_EQ(one.step(0.0f), -0.75f);  // buf = 0.5
  one.optimizer().set_lr(1.0);        // lr is not part of the buffer
  EXPECT_EQ(one.step(0.0f), -1.0f);   // buf = 0.25
}

// 0 * Inf is NaN, so a step without momentum must not read the buffer.
TEST(RMSProp, BufferOfAGroupWithoutMomentumIsNotRead) {
  OneElement<RMSProp> one({.lr = 0.5, .alpha = 0.75, .eps = 3.0, .momentum = 0.5});
  one.optimizer().set_rule(RMSProp{.lr = 0.5, .alpha = 0.75, .eps = 3.0});
  *static_cast<float*>(one.optimizer().state("p", "momentum_buffer").data) =
      std::numeric_limits<float>::infinity();
  EXPECT_EQ(one.step(2.0f), -0.5f);
}

TEST(RMSProp, AlphaIsTheWeightOfTheOldSquareAverage) {
  OneElement<RMSProp> one({.alpha = 0.75});
  one.step(2.0f);
  EXPECT_EQ(one.state("square_avg"), 1.0f);
  one.step(0.0f);
  EXPECT_EQ(one.state("square_avg"), 0.75f);
}

TEST(RMSProp, InfiniteGradientReachesStateAndParameter) {
  OneElement<RMSProp> one(RMSProp{}, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::infinity())));  // Inf / Inf
  EXPECT_TRUE(std::isinf(one.state("square_avg")));
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
}

TEST(RMSProp, StatesAreThoseThatTheOptionsNeed) {
  const auto names = [](const RMSProp& rule) {
    std::vector<std::string> all;
    OneElement<RMSProp> one(rule);
    for (const char* name : one.optimizer().state_names()) all.emplace_back(name);
    return all;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({}), (Names{"square_avg"}));
  EXPECT_EQ(names({.centered = true}), (Names{"square_avg", "grad_avg"}));
  EXPECT_EQ(names({.momentum = 0.5}), (Names{"square_avg", "momentum_buffer"}));
  EXPECT_EQ(names({.momentum = 0.5, .centered = true}), (Names{"square_avg", "grad_avg", "momentum_buffer"}));
}

// A documented deviation: torch.optim.RMSprop would give -1.5, from the buffer of the first step.
TEST(RMSProp, MomentumThatReturnsGoesOnFromTheLastGradient) {
  const RMSProp rule{.lr = 1.0, .alpha = 0.0, .eps = 0.0, .momentum = 0.5};
  OneElement<RMSProp> one(rule);
  EXPECT_EQ(one.step(2.0f), -1.0f);
  RMSProp without = rule;
  without.momentum = 0.0;
  one.optimizer().set_rule(without);
  EXPECT_EQ(one.step(-3.0f), 0.0f);
  one.optimizer().set_rule(rule);
  EXPECT_EQ(one.step(5.0f), -(0.5f * -1.0f + 1.0f));
}

}  // namespace
}  // namespace onepass::test
