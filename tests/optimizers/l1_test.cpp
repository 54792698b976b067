// l1_test.cpp - L1 penalties give the answers worked out by hand: exact zeros, signs of zero, NaN and Inf.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

constexpr SGD kProximal{.lr = 0.5, .l1 = 0.5};  // threshold 0.25
constexpr SGD kSubgradient{.lr = 0.5, .l1 = 0.5, .l1_mode = L1::subgradient};

float moved(const SGD& rule, float p, float gradient) { return OneElement<SGD>(rule, p).step(gradient); }

TEST(L1, IsProximalAndOffByDefault) {
  EXPECT_EQ(SGD{}.l1_mode, L1::proximal);
  EXPECT_EQ(SGD{}.l1, 0.0);
  EXPECT_EQ(AdamW{}.l1, 0.0);
}

TEST(L1, ProximalShrinksTheMovedParameter) {
  EXPECT_EQ(moved(kProximal, 2.0f, 1.0f), 1.25f);  // 2 - 0.5 = 1.5, minus 0.25
  EXPECT_EQ(moved(kProximal, -2.0f, 1.0f), -2.25f);
  EXPECT_EQ(moved(kProximal, -2.0f, -1.0f), -1.25f);
}

TEST(L1, ProximalStopsAtZero) {
  EXPECT_TRUE(same_bits(moved(kProximal, 0.25f, 0.0f), 0.0f));
  EXPECT_TRUE(same_bits(moved(kProximal, 0.125f, 0.0f), 0.0f));
  EXPECT_TRUE(same_bits(moved(kProximal, -0.125f, 0.0f), -0.0f));
  EXPECT_TRUE(same_bits(moved(kProximal, -0.0f, 0.0f), -0.0f));
  EXPECT_TRUE(same_bits(moved(kProximal, 0.375f, 0.0f), 0.125f));
  // A large step passes zero and is shrunk on the other side.
  EXPECT_EQ(moved(kProximal, 0.5f, 4.0f), -1.25f);
}

TEST(L1, SubgradientIsAddedToTheGradientAndIsZeroAtZero) {
  EXPECT_EQ(moved(kSubgradient, 2.0f, 1.0f), 1.25f);  // 2 - 0.5 * (1 + 0.5)
  EXPECT_EQ(moved(kSubgradient, -2.0f, 1.0f), -2.25f);
  EXPECT_EQ(moved(kSubgradient, 0.0f, 1.0f), -0.5f);
  EXPECT_EQ(moved(kSubgradient, -0.0f, 1.0f), -0.5f);
  // The parameter does not stop at zero: it jumps to the other side.
  EXPECT_EQ(moved(kSubgradient, 0.125f, 0.0f), -0.125f);
}

TEST(L1, MaximizeDoesNotReverseThePenalty) {
  SGD ascending = kSubgradient;
  ascending.maximize = true;
  EXPECT_EQ(moved(ascending, 2.0f, 1.0f), 2.25f);  // 2 - 0.5 * (-1 + 0.5)
  ascending = kProximal;
  ascending.maximize = true;
  EXPECT_EQ(moved(ascending, 2.0f, 1.0f), 2.25f);  // 2 + 0.5 - 0.25
}

TEST(L1, WithWeightDecayL1IsTheElasticNet) {
  SGD rule = kProximal;
  rule.weight_decay = 0.5;
  EXPECT_EQ(moved(rule, 2.0f, 1.0f), 0.75f);  // 2 - 0.5 * (1 + 1) = 1, minus 0.25
  rule.weight_decay_mode = WeightDecay::decoupled;
  EXPECT_EQ(moved(rule, 2.0f, 1.0f), 0.75f);  // 0.75 * 2 - 0.5 = 1, minus 0.25
  rule = kSubgradient;
  rule.weight_decay = 0.5;
  EXPECT_EQ(moved(rule, 2.0f, 1.0f), 0.75f);  // 2 - 0.5 * (1 + 1 + 0.5)
}

TEST(L1, SubgradientPassesThroughMomentumAndProximalDoesNot) {
  SGD rule = kSubgradient;
  rule.momentum = 0.5;
  OneElement<SGD> one(rule, 2.0f);
  one.step(1.0f);
  EXPECT_EQ(one.state("momentum_buffer"), 1.5f);
  rule.l1_mode = L1::proximal;
  OneElement<SGD> other(rule, 2.0f);
  other.step(1.0f);
  EXPECT_EQ(other.state("momentum_buffer"), 1.0f);
}

TEST(L1, ThresholdFollowsLr) {
  OneElement<SGD> one(kProximal, 4.0f);
  EXPECT_EQ(one.step(0.0f), 3.75f);
  one.optimizer().set_lr(2.0);
  EXPECT_EQ(one.step(0.0f), 2.75f);
}

TEST(L1, NonFiniteNumbersReachTheParameter) {
  for (const SGD& rule : {kProximal, kSubgradient}) {
    EXPECT_TRUE(std::isnan(moved(rule, kNaN, 1.0f)));
    EXPECT_TRUE(std::isnan(moved(rule, 1.0f, kNaN)));
    EXPECT_EQ(moved(rule, kInf, 1.0f), kInf);
    EXPECT_EQ(moved(rule, -kInf, 1.0f), -kInf);
    EXPECT_EQ(moved(rule, 1.0f, kInf), -kInf);
  }
}

// A parameter whose gradient is smaller than the penalty becomes exactly zero and stays zero. The last
// parameter has a larger gradient and moves on.
void expect_exact_zeros(Rule rule) {
  rule.set("lr", 0.01);
  rule.set("weight_decay", 0.0);
  rule.set("l1", 2.0);
  std::vector<float> p{0.3f, -0.3f, 0.0f, 0.3f}, gradient(4);
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  for (int step = 0; step < 400; ++step) {
    for (std::size_t i = 0; i < 3; ++i) gradient[i] = (step + static_cast<int>(i)) % 2 == 0 ? 0.1f : -0.1f;
    gradient[3] = -100.0f;
    optimizer.step();
    if (step < 200) continue;
    for (std::size_t i = 0; i < 3; ++i) ASSERT_EQ(p[i], 0.0f) << rule.name() << ", step " << step;
  }
  if (rule.is<SGD>()) {
    EXPECT_GT(p[3], 1.0f);
  }
}

TEST(L1, ProximalGivesExactZerosThatStay) {
  for (const Rule& rule : library_rules()) expect_exact_zeros(rule);
  expect_exact_zeros(SGD{.momentum = 0.5});
}

TEST(L1, SubgradientGivesNoExactZeroButStaysNearZero) {
  std::vector<float> p{0.3f}, gradient{0.0f};
  Optimizer optimizer{SGD{.lr = 0.01, .l1 = 0.7, .l1_mode = L1::subgradient},
                      std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  int zeros = 0;
  for (int step = 0; step < 400; ++step) {
    optimizer.step();
    if (p[0] == 0.0f) ++zeros;
  }
  EXPECT_EQ(zeros, 0);
  EXPECT_LT(std::fabs(p[0]), 0.0071f);
}

// The CPU has a plain loop without clamp and L1. If neither has an effect, the general loop changes no bit.
void expect_same_bits_of_both_loops(Rule rule) {
  const std::vector<Shape> shapes{{.numel = 300}, {.numel = 70, .value_misalignment = 1}};
  Model plain(shapes), tiny(shapes);
  rule.set("lr", 0.01);
  rule.set("weight_decay", 0.1);
  Optimizer wanted(rule, plain.parameters());
  rule.set("l1", 1e-50);  // 0 in float32
  Optimizer actual(rule, tiny.parameters());
  actual.set_gradient_handling({.clip_value = 3e38});  // clips no gradient, but selects the general loop
  for (int step = 1; step <= 4; ++step) {
    for (Model* model : {&plain, &tiny}) {
      model->draw_gradients(step, 200);
      for (std::size_t t = 0; t < model->size(); ++t) {
        for (float& g : model->grad(t).host())
          if (std::isinf(g)) g = -0.0f;  // clipping by value would change it
      }
    }
    wanted.step();
    actual.step();
  }
  EXPECT_TRUE(equal_bits(snapshot(plain.parameters(), wanted), snapshot(tiny.parameters(), actual)))
      << rule.name();
}

TEST(L1, GeneralLoopGivesTheBitsOfThePlainLoop) {
  for (const Rule& rule : library_rules()) expect_same_bits_of_both_loops(rule);
}

}  // namespace
}  // namespace onepass::test
