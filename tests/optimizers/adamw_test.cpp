// adamw_test.cpp - AdamW gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr AdamW kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0, .weight_decay = 0.5};

// p = (1 - 0.25 * 0.5) * 2 - 0.25 * 2 / (2 + 2). The moments are those of Adam's first step.
TEST(AdamW, DecayShrinksTheOldParameterBesideAdamsStep) {
  OneElement<AdamW> one(kExact, 2.0f);
  EXPECT_EQ(one.step(2.0f), 1.625f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
}

TEST(AdamW, DecayDoesNotPassThroughTheMoments) {
  OneElement<AdamW> one(kExact, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
  EXPECT_EQ(one.state("exp_avg_sq"), 0.0f);
}

TEST(AdamW, MaximizeReversesTheStepButNotTheDecay) {
  AdamW rule = kExact;
  rule.maximize = true;
  EXPECT_EQ(OneElement<AdamW>(rule, 2.0f).step(2.0f), 1.875f);  // 1.75 + 0.125
}

TEST(AdamW, DecaysByDefault) {
  EXPECT_EQ(AdamW{}.weight_decay, 0.01);
  EXPECT_EQ(AdamW{}.weight_decay_mode, WeightDecay::decoupled);
  EXPECT_LT(OneElement<AdamW>(AdamW{}, 2.0f).step(0.0f), 2.0f);
}

TEST(AdamW, CoupledDecayGivesAdamsBits) {
  AdamW coupled = kExact;
  coupled.weight_decay_mode = WeightDecay::coupled;
  OneElement<AdamW> one(coupled, 2.0f);
  OneElement<Adam> other({.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0, .weight_decay = 0.5}, 2.0f);
  for (const float gradient : {0.3f, -1.7f, 0.0f, 5.1f}) {
    EXPECT_TRUE(same_bits(one.step(gradient), other.step(gradient)));
  }
}

}  // namespace
}  // namespace onepass::test
