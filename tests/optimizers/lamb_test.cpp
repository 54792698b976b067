// lamb_test.cpp - LAMB gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

/// Averages of the gradients at hand, without bias correction: m_hat is exp_avg.
constexpr LAMB kPlain{.lr = 0.5,
                      .beta1 = 0.0,
                      .beta2 = 0.0,
                      .eps = 0.0,
                      .weight_decay = 0.0,
                      .bias_correction = false,
                      .always_adapt = true};

std::vector<float> stepped(const LAMB& rule, std::vector<float> value, std::vector<float> gradient) {
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  optimizer.step();
  return value;
}

// u is the sign of the gradient, so ||u|| = 2; ||p|| = sqrt(4 * 9) = 6; trust = 3 and a step is 0.5 * 3.
TEST(LAMB, StepIsALearningRateOfTheTensorsNorm) {
  EXPECT_EQ(stepped(kPlain, {3, -3, 3, 3}, {2, 5, -1, 8}), (std::vector<float>{1.5f, -4.5f, 4.5f, 1.5f}));
}

// u = sign(g) + 1 * p = (4, 0): ||u|| = 4; ||p|| = 5 with the second element; trust = 1.25.
TEST(LAMB, DecayIsAPartOfTheDirectionAndOfItsNorm) {
  LAMB rule = kPlain;
  rule.weight_decay = 1.0;
  EXPECT_EQ(stepped(rule, {3, -4}, {1, 4}), (std::vector<float>{3.0f - 0.5f * (5.0f / 5.0f) * 4.0f, -2.5f}));
}

TEST(LAMB, TensorWithoutDecayTakesAdamsStep) {
  LAMB rule = kPlain;
  rule.always_adapt = false;
  EXPECT_EQ(stepped(rule, {3, -3}, {2, 5}), (std::vector<float>{2.5f, -3.5f}));
}

TEST(LAMB, TrustIsOneWhereANormIsZero) {
  EXPECT_EQ(stepped(kPlain, {0, 0}, {2, -5}), (std::vector<float>{-0.5f, 0.5f}));
  LAMB rule = kPlain;
  rule.eps = 1.0;
  EXPECT_EQ(stepped(rule, {3, 4}, {0, 0}), (std::vector<float>{3, 4}));
}

TEST(LAMB, TrustClipLimitsTrustToOne) {
  LAMB rule = kPlain;
  rule.trust_clip = true;
  EXPECT_EQ(stepped(rule, {3, -3}, {2, 5}), (std::vector<float>{2.5f, -3.5f}));
}

TEST(LAMB, GradientJoinsTheAverageWholeWithoutGradAveraging) {
  LAMB rule = kPlain;
  rule.beta1 = 0.5;
  std::vector<float> value{4}, gradient{8};
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  rule.grad_averaging = false;
  std::vector<float> other{4};
  Optimizer summing{rule, std::vector<Parameter>{{"p", std::span(other), std::span(gradient)}}};
  optimizer.step();
  summing.step();
  EXPECT_EQ(*static_cast<const float*>(optimizer.state("p", "exp_avg").data), 4.0f);
  EXPECT_EQ(*static_cast<const float*>(summing.state("p", "exp_avg").data), 8.0f);
}

// A NaN is in its element alone: trust is 1 for the others.
TEST(LAMB, NaNStaysInItsElement) {
  const auto after = stepped(kPlain, {3, -3}, {std::numeric_limits<float>::quiet_NaN(), 5});
  EXPECT_TRUE(std::isnan(after[0]));
  EXPECT_EQ(after[1], -3.5f);
}

TEST(LAMB, OtherDecaysAreRefused) {
  LAMB rule;
  rule.weight_decay_mode = WeightDecay::after;
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"weight_decay_mode must be coupled or decoupled"}));
}

}  // namespace
}  // namespace onepass::test
