// ademamix_test.cpp - AdEMAMix gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr AdEMAMix kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .beta3 = 0.875, .alpha = 4.0, .eps = 2.0};

// The fast average is 1, corrected 2. The slow one is 0.25, uncorrected. v_hat = 4.
// (2 + 4 * 0.25) / (2 + 2) = 0.75.
TEST(AdEMAMix, SlowAverageJoinsTheStepWithoutCorrection) {
  OneElement<AdEMAMix> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.8125f);
  EXPECT_EQ(one.state("exp_avg_fast"), 1.0f);
  EXPECT_EQ(one.state("exp_avg_slow"), 0.25f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
}

TEST(AdEMAMix, SecondStepIsCorrectedByThePowersOfTheFirstTwoBetas) {
  OneElement<AdEMAMix> one(kExact, 1.0f);
  one.step(2.0f);
  const double both = 0.5 / 0.75 + 4.0 * 0.21875;
  const double wanted = 0.8125 - 0.25 * both / (std::sqrt(0.75 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(one.step(0.0f), static_cast<float>(wanted)), 1);
}

TEST(AdEMAMix, WithoutTheSlowAverageEveryStepIsThatOfAdamW) {
  OneElement<AdEMAMix> one({.alpha = 0.0}, 1.0f);
  OneElement<AdamW> other({.weight_decay = 0.0}, 1.0f);
  for (const float gradient : {2.0f, -1.0f, 0.0f, 3.0f}) {
    EXPECT_NEAR(one.step(gradient), other.step(gradient), 1e-6);
  }
}

// 1 - 0.9999f is 0.00010001659: if beta3 were rounded first, the slow average would be 166 parts in a million
// too large.
TEST(AdEMAMix, OneMinusBeta3IsRoundedOnlyAfterTheSubtraction) {
  OneElement<AdEMAMix> one(AdEMAMix{});
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("exp_avg_slow"), static_cast<float>(1.0 - 0.9999)), 1);
}

TEST(AdEMAMix, AlphaGrowsLinearlyDuringItsWarmup) {
  AdEMAMix rule = kExact;
  rule.alpha_warmup = 4.0;
  EXPECT_EQ(OneElement<AdEMAMix>(rule, 1.0f).step(2.0f), 0.859375f);  // alpha_1 = 1: (2 + 0.25) / 4
  for (const std::int64_t step : {1, 2, 3, 4, 5, 1000}) {
    EXPECT_EQ(rule.prepare(step).of_slow, step < 4 ? static_cast<float>(step) : 4.0f) << step;
  }
}

/// Returns 1 - beta3_t of a step: what the step adds of a gradient of 1 to a slow average of 0.
float weight_at(const AdEMAMix& rule, std::int64_t step) {
  OneElement<AdEMAMix> one(rule);
  for (std::int64_t t = 1; t < step; ++t) one.step(0.0f);
  one.step(1.0f);
  return one.state("exp_avg_slow");
}

// At half of the warmup the half-life is the mean of those of beta1 and beta3.
TEST(AdEMAMix, HalfLifeOfTheSlowAverageGrowsLinearlyDuringItsWarmup) {
  const AdEMAMix rule{.beta1 = 0.9, .beta3 = 0.9999, .beta3_warmup = 1000.0};
  const auto half_life = [](double beta) { return std::log(0.5) / std::log(beta); };
  const double fast = half_life(0.9), slow = half_life(0.9999);
  for (const std::int64_t step : {1, 10, 250, 500, 999}) {
    const double part = static_cast<double>(step) / 1000.0;
    const double wanted = -std::expm1(std::log(0.5) / ((1.0 - part) * fast + part * slow));
    EXPECT_LE(ulp_distance(weight_at(rule, step), static_cast<float>(wanted)), 1) << step;
  }
  for (const std::int64_t step : {1000, 1001}) {
    EXPECT_EQ(weight_at(rule, step), static_cast<float>(1.0 - 0.9999)) << step;
  }
}

// 1 - exp(x) in double would have 13 correct bits.
TEST(AdEMAMix, VeryLongAveragesKeepAllDigitsDuringTheWarmup) {
  const AdEMAMix rule{.beta3 = 1.0 - 0x1p-40, .beta3_warmup = 10.0 / 3.0};
  const double wanted = -std::expm1(1.0 / (0.7 / std::log(0.9) + 0.3 / std::log1p(-0x1p-40)));
  EXPECT_LE(ulp_distance(weight_at(rule, 1), static_cast<float>(wanted)), 1);
}

TEST(AdEMAMix, WarmupsEndSeparately) {
  const AdEMAMix rule{.beta3 = 0.99, .alpha = 4.0, .alpha_warmup = 2.0, .beta3_warmup = 4.0};
  EXPECT_EQ(rule.prepare(3).of_slow, 4.0f);
  EXPECT_GT(weight_at(rule, 3), 0.011f);
  EXPECT_EQ(weight_at(rule, 4), static_cast<float>(1.0 - 0.99));
}

TEST(AdEMAMix, WithoutBeta1TheFastAverageIsTheGradientAndHasNoState) {
  AdEMAMix rule = kExact;
  rule.beta1 = 0.0;
  OneElement<AdEMAMix> one(rule, 1.0f);
  EXPECT_EQ(one.optimizer().state_names().size(), 2u);
  EXPECT_EQ(one.step(2.0f), 0.8125f);  // (2 + 4 * 0.25) / (2 + 2)
  EXPECT_EQ(one.state("exp_avg_slow"), 0.25f);
}

TEST(AdEMAMix, BetaOfZeroLeavesTheWarmupFinite) {
  const AdEMAMix rule{.beta1 = 0.0, .beta3 = 0.875, .beta3_warmup = 4.0};
  for (const std::int64_t step : {1, 2, 3, 4}) {
    const double wanted = 1.0 - std::pow(0.875, 4.0 / static_cast<double>(step));
    EXPECT_LE(ulp_distance(weight_at(rule, step), static_cast<float>(wanted)), 1) << step;
  }
  EXPECT_EQ(weight_at({.beta1 = 0.0, .beta3 = 0.0, .beta3_warmup = 4.0}, 1), 1.0f);
}

TEST(AdEMAMix, Beta1ThatBecomesZeroGivesTheStepsOfTheVariantWithoutItsState) {
  AdEMAMix without = kExact;
  without.beta1 = 0.0;
  OneElement<AdEMAMix> one(kExact, 1.0f), other(without, 1.0f);
  one.optimizer().set_rule(without);
  for (const float gradient : {2.0f, -1.0f, 0.5f}) EXPECT_EQ(one.step(gradient), other.step(gradient));
}

TEST(AdEMAMix, DecayIsDecoupledByDefault) {
  AdEMAMix rule = kExact;
  rule.weight_decay = 0.5;
  OneElement<AdEMAMix> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);
  EXPECT_EQ(one.state("exp_avg_slow"), 0.0f);
}

TEST(AdEMAMix, LateParameterHasItsOwnCorrectionsAndWarmups) {
  AdEMAMix rule = kExact;
  rule.alpha_warmup = 4.0;
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{rule, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.859375f);
}

TEST(AdEMAMix, InfiniteGradientReachesAllAveragesAndTheParameter) {
  OneElement<AdEMAMix> one(AdEMAMix{}, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::infinity())));
  for (const char* const state : {"exp_avg_fast", "exp_avg_slow", "exp_avg_sq"}) {
    EXPECT_TRUE(std::isinf(one.state(state))) << state;
  }
  one.step(0.0f);
  for (const char* const state : {"exp_avg_fast", "exp_avg_slow", "exp_avg_sq"}) {
    EXPECT_TRUE(std::isnan(one.state(state))) << state;
  }
}

TEST(AdEMAMix, SlowAverageStaysFloat32InEveryFormat) {
  std::vector<float> value(64), gradient(64, 1.0f);
  Optimizer optimizer{AdEMAMix{},
                      std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}},
                      {.float32_storage = {.states = States::quantized8}}};
  optimizer.step();
  EXPECT_EQ(optimizer.state("p", "exp_avg_slow").dtype, DType::float32);
  EXPECT_NE(optimizer.state("p", "exp_avg_fast").dtype, DType::float32);
}

}  // namespace
}  // namespace onepass::test
