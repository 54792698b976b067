// sgd_test.cpp - SGD gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <limits>

#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

TEST(SGD, PlainStepSubtractsLrTimesGradient) {
  OneElement<SGD> one({.lr = 0.25}, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.5f);
  EXPECT_EQ(one.step(-4.0f), 1.5f);
}

TEST(SGD, FirstBufferIsTheGradientWithoutDampening) {
  OneElement<SGD> one({.lr = 0.25, .momentum = 0.5, .dampening = 0.5}, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.5f);  // buf = 2
  EXPECT_EQ(one.state("momentum_buffer"), 2.0f);
  EXPECT_EQ(one.step(4.0f), -0.25f);  // buf = 0.5 * 2 + 0.5 * 4 = 3
  EXPECT_EQ(one.state("momentum_buffer"), 3.0f);
}

TEST(SGD, NesterovTakesTheGradientAndTheNewBuffer) {
  OneElement<SGD> one({.lr = 0.25, .momentum = 0.5, .nesterov = true}, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.25f);    // 2 + 0.5 * 2 = 3
  EXPECT_EQ(one.step(4.0f), -1.375f);  // buf = 0.5 * 2 + 4 = 5; 4 + 0.5 * 5 = 6.5
}

TEST(SGD, LrMultipliesTheBufferSoThatAChangeActsAtOnce) {
  OneElement<SGD> one({.lr = 0.25, .momentum = 0.5}, 1.0f);
  one.step(2.0f);
  one.optimizer().set_lr(1.0);
  EXPECT_EQ(one.step(0.0f), -0.5f);  // 0.5 - 1.0 * (0.5 * 2)
}

TEST(SGD, CoupledDecayIsAddedAfterMaximizeReversesTheGradient) {
  const SGD rule{.lr = 1.0, .weight_decay = 0.5};
  EXPECT_EQ(OneElement<SGD>(rule, 2.0f).step(1.0f), 0.0f);  // 2 - (1 + 0.5 * 2)
  SGD ascending = rule;
  ascending.maximize = true;
  EXPECT_EQ(OneElement<SGD>(ascending, 2.0f).step(1.0f), 2.0f);  // 2 - (-1 + 0.5 * 2)
}

TEST(SGD, DecoupledDecayShrinksTheOldParameter) {
  const SGD rule{.lr = 0.5, .weight_decay = 0.5, .weight_decay_mode = WeightDecay::decoupled};
  EXPECT_EQ(OneElement<SGD>(rule, 2.0f).step(1.0f), 1.0f);  // 2 * 0.75 - 0.5
  SGD ascending = rule;
  ascending.maximize = true;
  EXPECT_EQ(OneElement<SGD>(ascending, 2.0f).step(1.0f), 2.0f);  // 2 * 0.75 + 0.5
}

TEST(SGD, CoupledDecayPassesThroughMomentum) {
  OneElement<SGD> one({.lr = 0.5, .momentum = 0.5, .weight_decay = 0.5}, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.5f);    // buf = 1
  EXPECT_EQ(one.step(0.0f), 0.875f);  // buf = 0.5 + 0.75
}

TEST(SGD, WithoutDecayAnInfiniteParameterStaysInfinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  OneElement<SGD> one({.lr = 0.5}, kInf);
  EXPECT_EQ(one.step(1.0f), kInf);
}

// 0 * Inf is NaN, so neither the first step nor a step without momentum may read the buffer.
TEST(SGD, UnneededBufferIsNotRead) {
  OneElement<SGD> one({.lr = 0.5, .momentum = 0.5});
  float* const buffer = static_cast<float*>(one.optimizer().state("p", "momentum_buffer").data);
  *buffer = std::numeric_limits<float>::infinity();
  EXPECT_EQ(one.step(2.0f), -1.0f);
  *buffer = std::numeric_limits<float>::infinity();
  one.optimizer().set_rule(SGD{.lr = 0.5});
  EXPECT_EQ(one.step(2.0f), -2.0f);
}

// A documented deviation: torch.optim.SGD would give -7.5, from the buffer of the first step.
TEST(SGD, MomentumThatReturnsGoesOnFromTheLastGradient) {
  const SGD rule{.lr = 1.0, .momentum = 0.5, .dampening = 0.5};
  OneElement<SGD> one(rule);
  EXPECT_EQ(one.step(2.0f), -2.0f);
  one.optimizer().set_rule(SGD{.lr = 1.0, .dampening = 0.5});
  EXPECT_EQ(one.step(4.0f), -6.0f);
  one.optimizer().set_rule(rule);
  EXPECT_EQ(one.step(1.0f), -6.0f - (0.5f * 4.0f + 0.5f * 1.0f));
}

TEST(SGD, ZeroLrLeavesTheParameterAndFillsTheBuffer) {
  OneElement<SGD> one({.lr = 0.0, .momentum = 0.5}, 1.0f);
  EXPECT_EQ(one.step(2.0f), 1.0f);
  EXPECT_EQ(one.state("momentum_buffer"), 2.0f);
}

TEST(SGD, PlainHasNoStates) {
  OneElement<SGD> one(SGD{});
  EXPECT_TRUE(one.optimizer().state_names().empty());
}

}  // namespace
}  // namespace onepass::test
