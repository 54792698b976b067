// adan_test.cpp - Adan gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr Adan kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .beta3 = 0.75, .eps = 2.0};

// m = 1, corrected 2; n = 0.25 * 4 = 1, corrected 4; 2 / (2 + 2) = 0.5.
TEST(Adan, FirstDifferenceIsZero) {
  OneElement<Adan> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.875f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_diff"), 0.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
  EXPECT_EQ(one.state("neg_pre_grad"), -2.0f);
}

// The difference is 2: m = 2.5, d = 0.25 * 2 = 0.5, n = 0.75 * 1 + 0.25 * (4 + 0.75 * 2)^2 = 8.3125. If the
// difference had the weight 1 - beta2 in the square, n would be 5.8125.
TEST(Adan, DifferenceHasTheWeightBeta2InTheStepAndInTheSquare) {
  OneElement<Adan> one(kExact, 1.0f);
  one.step(2.0f);
  const float moved = one.step(4.0f);
  EXPECT_EQ(one.state("exp_avg"), 2.5f);
  EXPECT_EQ(one.state("exp_avg_diff"), 0.5f);
  EXPECT_EQ(one.state("exp_avg_sq"), 8.3125f);
  EXPECT_EQ(one.state("neg_pre_grad"), -4.0f);
  const double both = 2.5 / 0.75 + 0.75 * 0.5 / 0.4375;
  const double wanted = 0.875 - 0.25 * both / (std::sqrt(8.3125 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(moved, static_cast<float>(wanted)), 1);
}

TEST(Adan, WithoutBeta2EveryStepIsThatOfAdam) {
  OneElement<Adan> one({.beta1 = 0.9, .beta2 = 0.0, .beta3 = 0.999}, 1.0f);
  OneElement<Adam> other(Adam{}, 1.0f);
  for (const float gradient : {2.0f, -1.0f, 0.0f, 3.0f}) {
    EXPECT_NEAR(one.step(gradient), other.step(gradient), 1e-6);
  }
}

TEST(Adan, DecayDividesTheMovedParameterByDefault) {
  EXPECT_EQ(Rule::named("Adan").text("weight_decay_mode"), "proximal");
  Adan rule = kExact;
  rule.weight_decay = 0.5;
  EXPECT_LE(ulp_distance(OneElement<Adan>(rule, 2.0f).step(2.0f), static_cast<float>(1.875 / 1.125)), 1);
}

TEST(Adan, DecoupledDecayShrinksTheOldParameter) {
  Adan rule = kExact;
  rule.weight_decay = 0.5;
  rule.weight_decay_mode = WeightDecay::decoupled;
  EXPECT_EQ(OneElement<Adan>(rule, 2.0f).step(2.0f), 1.625f);  // (1 - 0.125) * 2 - 0.125
}

TEST(Adan, MaximizeReversesTheGradientThatIsKept) {
  Adan rule = kExact;
  rule.maximize = true;
  OneElement<Adan> one(rule, 1.0f);
  EXPECT_EQ(one.step(2.0f), 1.125f);
  EXPECT_EQ(one.state("neg_pre_grad"), 2.0f);
}

TEST(Adan, FirstStepDoesNotReadTheGradientBefore) {
  OneElement<Adan> one(kExact, 1.0f);
  *static_cast<float*>(one.optimizer().state("p", "neg_pre_grad").data) = kInf;
  EXPECT_EQ(one.step(2.0f), 0.875f);
}

TEST(Adan, LateParameterHasItsOwnFirstStep) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.875f);
}

TEST(Adan, SkippedStepKeepsTheGradientOfTheLastOne) {
  std::vector<float> p{1.0f}, gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  optimizer.set_gradient_handling({.nonfinite = NonFinite::skip});
  optimizer.step();
  gradient[0] = kInf;
  optimizer.step();
  EXPECT_EQ(*static_cast<const float*>(optimizer.state("p", "neg_pre_grad").data), -2.0f);
  EXPECT_EQ(p[0], 0.875f);
}

TEST(Adan, NonFiniteGradientReachesAllStatesAndTheParameter) {
  for (const float gradient : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
    OneElement<Adan> one(kExact, 1.0f);
    one.step(2.0f);
    EXPECT_TRUE(std::isnan(one.step(gradient)));
    for (const char* const state : {"exp_avg", "exp_avg_diff", "exp_avg_sq", "neg_pre_grad"}) {
      EXPECT_FALSE(std::isfinite(one.state(state))) << state;
    }
    EXPECT_TRUE(std::isnan(one.step(1.0f)));
  }
}

TEST(Adan, GradientBeforeStaysFloat32InEveryFormat) {
  std::vector<float> value(64), gradient(64, 1.0f);
  Optimizer optimizer{Adan{},
                      std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}},
                      {.float32_storage = {.states = States::quantized8}}};
  EXPECT_EQ(optimizer.state("p", "neg_pre_grad").dtype, DType::float32);
  for (const char* const state : {"exp_avg", "exp_avg_diff", "exp_avg_sq"}) {
    EXPECT_NE(optimizer.state("p", state).dtype, DType::float32) << state;
  }
}

}  // namespace
}  // namespace onepass::test
