// lars_test.cpp - LARS gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr LARS kPlain{.lr = 2.0, .momentum = 0.5, .trust_coeff = 0.25, .eps = 0.0, .always_adapt = true};

std::vector<float> stepped(const LARS& rule, std::vector<float> value, std::vector<float> gradient,
                           int steps = 1) {
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  for (int step = 0; step < steps; ++step) optimizer.step();
  return value;
}

// ||p|| = 10, ||g|| = 5: trust = 0.25 * 10 / 5 = 0.5, and a step is 2 * 0.5 * g.
TEST(LARS, RateFollowsTheRatioOfTheNorms) {
  EXPECT_EQ(stepped(kPlain, {6, 8}, {3, 4}), (std::vector<float>{3, 4}));
}

// trust = 0.25 * 10 / (5 + 2 * 10) = 0.1; d = 0.1 * (g + 2 p).
TEST(LARS, DecayJoinsTheGradientAndTheRatio) {
  LARS rule = kPlain;
  rule.weight_decay = 2.0;
  const std::vector<float> after = stepped(rule, {6, 8}, {3, 4});
  EXPECT_FLOAT_EQ(after[0], 6.0f - 2.0f * 0.1f * 15.0f);
  EXPECT_FLOAT_EQ(after[1], 8.0f - 2.0f * 0.1f * 20.0f);
}

TEST(LARS, TensorWithoutDecayTakesSgdsStep) {
  LARS rule = kPlain;
  rule.always_adapt = false;
  EXPECT_EQ(stepped(rule, {6, 8}, {3, 4}), (std::vector<float>{0, 0}));
}

TEST(LARS, TrustIsOneWhereANormIsZero) {
  EXPECT_EQ(stepped(kPlain, {0, 0}, {3, 4}), (std::vector<float>{-6, -8}));
  EXPECT_EQ(stepped(kPlain, {6, 8}, {0, 0}), (std::vector<float>{6, 8}));
}

// trust / lr = 0.25, so the rate is 0.5 in place of 1; with a coefficient of 4, trust / lr = 4 counts as 1.
TEST(LARS, TrustClipLimitsTheRateToTheLearningRate) {
  LARS rule = kPlain;
  rule.trust_clip = true;
  EXPECT_EQ(stepped(rule, {6, 8}, {3, 4}), (std::vector<float>{4.5f, 6}));
  rule.trust_coeff = 4.0;
  EXPECT_EQ(stepped(rule, {6, 8}, {3, 4}), (std::vector<float>{0, 0}));
}

// The first step moves p to (3, 4) with a buffer of (1.5, 2). Then trust = 0.25 and d = (0.75, 1); the buffer
// is 0.5 * (1.5, 2) + (0.75, 1).
TEST(LARS, MomentumKeepsScaledGradients) {
  EXPECT_EQ(stepped(kPlain, {6, 8}, {3, 4}, 2), (std::vector<float>{0, 0}));
  LARS rule = kPlain;
  rule.nesterov = true;
  EXPECT_EQ(stepped(rule, {6, 8}, {3, 4}), (std::vector<float>{1.5f, 2}));  // 2 * (1 + 0.5) * (1.5, 2) less
}

TEST(LARS, NaNStaysInItsElement) {
  const auto after = stepped(kPlain, {6, 8}, {std::numeric_limits<float>::quiet_NaN(), 4});
  EXPECT_TRUE(std::isnan(after[0]));
  EXPECT_EQ(after[1], 0.0f);
}

TEST(LARS, OtherDecaysAreRefused) {
  LARS rule;
  rule.weight_decay_mode = WeightDecay::proximal;
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"weight_decay_mode must be coupled or decoupled"}));
}

TEST(LARS, NesterovNeedsMomentumWithoutDampening) {
  LARS rule{.momentum = 0.0, .nesterov = true};
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"nesterov needs a momentum above 0"}));
  rule = {.momentum = 0.9, .dampening = 0.1, .nesterov = true};
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"a dampening of 0"}));
}

}  // namespace
}  // namespace onepass::test
