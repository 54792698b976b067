// prodigy_test.cpp - Prodigy gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

// With beta2 = 0 the root of exp_avg_sq is |d * g|.
constexpr Prodigy kPlain{.beta1 = 0.5, .beta2 = 0.0, .beta3 = 0.5, .eps = 0.0, .d0 = 0.5, .d_coef = 12.0};

/// Four parameters and their gradients.
class FourElements {
 public:
  explicit FourElements(const Prodigy& rule) : optimizer_{rule, parameters()} {}

  /// Takes a step with these gradients and returns the parameters.
  std::vector<float> step(std::vector<float> gradient) {
    gradient_.swap(gradient);
    optimizer_.set_gradients(std::vector<Tensor>{{gradient_.data(), 4}});
    optimizer_.step();
    return value_;
  }
  double scalar(const char* name) { return *static_cast<const double*>(optimizer_.state("p", name).data); }
  std::vector<float> state(const char* name) {
    const auto* const data = static_cast<const float*>(optimizer_.state("p", name).data);
    return {data, data + 4};
  }

 private:
  std::vector<Parameter> parameters() { return {{"p", std::span(value_), std::span(gradient_)}}; }

  std::vector<float> value_{4, 4, 4, 4}, gradient_{0, 0, 0, 0};
  Optimizer optimizer_;
};

// exp_avg = 0.5 * 0.5 * 2, root = 0.5 * 2, so the step is 0.5 * 0.5 / 1. No parameter has moved yet, so d
// stays.
TEST(Prodigy, FirstStepHasTheRateD0) {
  FourElements four(kPlain);
  EXPECT_EQ(four.step({2, 2, -2, 2}), (std::vector<float>{3.75f, 3.75f, 4.25f, 3.75f}));
  EXPECT_EQ(four.state("s"), (std::vector<float>{1, 1, -1, 1}));
  EXPECT_EQ(four.state("p0"), (std::vector<float>{4, 4, 4, 4}));
  EXPECT_EQ(four.scalar("d"), 0.5);
  EXPECT_EQ(four.scalar("k"), 1.0);
}

// The numerator is 4 * 0.5 * 2 * 0.25 = 1, sum(|s|) = 4 * (0.5 + 1) = 6, and d_hat = 12 / 6. The step itself
// still has the rate 0.5.
TEST(Prodigy, SecondStepFindsD) {
  FourElements four(kPlain);
  four.step({2, 2, -2, 2});
  EXPECT_EQ(four.step({2, 2, -2, 2})[0], 3.75f - 0.5f * 0.75f);
  EXPECT_EQ(four.scalar("d"), 2.0);
  EXPECT_EQ(four.scalar("d_max"), 2.0);
  EXPECT_EQ(four.scalar("d_numerator"), 1.0);
}

// d / d0 = 4 and the rate is 2: the numerator is 0.5 + 4 * 8 * 2 * 0.625, s is 0.75 + 16.
TEST(Prodigy, GrowthRateLimitsDAfterItHasLeftD0) {
  Prodigy rule = kPlain;
  rule.growth_rate = 1.5;
  FourElements four(rule);
  four.step({2, 2, -2, 2});
  four.step({2, 2, -2, 2});
  EXPECT_EQ(four.scalar("d"), 2.0);
  EXPECT_EQ(four.step({2, 2, -2, 2})[0], 3.375f - 2.0f * 2.375f / 4.0f);
  EXPECT_EQ(four.scalar("d_numerator"), 40.5);
  EXPECT_EQ(four.scalar("d_max"), 12.0 * 40.5 / 67.0);
  EXPECT_EQ(four.scalar("d"), 3.0);
}

TEST(Prodigy, WayBackMakesTheNumeratorSmaller) {
  FourElements four(kPlain);
  four.step({2, 2, -2, 2});
  four.step({-2, -2, 2, -2});
  EXPECT_EQ(four.scalar("d_numerator"), -1.0);
  EXPECT_EQ(four.scalar("d"), 0.5);
}

TEST(Prodigy, DecayIsAShareOfTheRate) {
  Prodigy rule = kPlain;
  rule.weight_decay = 0.25;
  EXPECT_EQ(FourElements(rule).step({2, 2, 2, 2})[0], 4.0f - (0.25f + 0.5f * 0.25f * 4.0f));
}

TEST(Prodigy, BiasCorrectionOfTheFirstStep) {
  Prodigy rule = kPlain;
  rule.use_bias_correction = true;  // sqrt(1 - 0) / (1 - 0.5)
  EXPECT_EQ(FourElements(rule).step({2, 2, 2, 2})[0], 3.5f);
}

TEST(Prodigy, SafeguardLeavesLrOutOfS) {
  Prodigy rule = kPlain;
  rule.lr = 0.25;
  FourElements usual(rule);
  usual.step({2, 2, 2, 2});
  EXPECT_EQ(usual.state("s")[0], 0.25f);
  rule.safeguard_warmup = true;
  FourElements safeguarded(rule);
  safeguarded.step({2, 2, 2, 2});
  EXPECT_EQ(safeguarded.state("s")[0], 1.0f);
}

// The first gradient that is not 0 is then a first step's, but for p0.
TEST(Prodigy, StepWithoutAnyGradientChangesNothing) {
  Prodigy rule = kPlain;
  rule.weight_decay = 0.25;
  FourElements four(rule);
  EXPECT_EQ(four.step({0, 0, 0, 0}), (std::vector<float>{4, 4, 4, 4}));
  EXPECT_EQ(four.scalar("k"), 0.0);
  EXPECT_EQ(four.scalar("d"), 0.5);
  EXPECT_EQ(four.state("p0")[0], 4.0f);
}

TEST(Prodigy, LrOf0KeepsAllStates) {
  Prodigy rule = kPlain;
  rule.lr = 0.0;
  FourElements four(rule);
  EXPECT_EQ(four.step({2, 2, 2, 2})[0], 4.0f);
  EXPECT_EQ(four.state("exp_avg")[0], 0.0f);
  EXPECT_EQ(four.state("s")[0], 0.0f);
}

TEST(Prodigy, NaNLeavesDAsItIs) {
  FourElements four(kPlain);
  four.step({2, 2, 2, 2});
  four.step({2, 2, 2, 2});
  const std::vector<float> after = four.step({2, std::numeric_limits<float>::quiet_NaN(), 2, 2});
  EXPECT_TRUE(std::isnan(after[1]));
  EXPECT_FALSE(std::isnan(after[0]));
  four.step({2, 2, 2, 2});
  EXPECT_EQ(four.scalar("d"), 2.0);
  EXPECT_TRUE(std::isnan(four.scalar("d_numerator")));
}

TEST(Prodigy, ValuesOutOfRangeAreRefused) {
  EXPECT_TRUE(refused([] { Rule(Prodigy{.d0 = 0.0}).check(); }, {"Prodigy.d0 must be at least 1.4e-45"}));
  EXPECT_TRUE(refused([] { Rule(Prodigy{.growth_rate = 0.9}).check(); },
                      {"Prodigy.growth_rate must be at least 1, but is 0.9"}));
  Prodigy rule;
  rule.weight_decay_mode = WeightDecay::after;
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"weight_decay_mode must be coupled or decoupled"}));
}

}  // namespace
}  // namespace onepass::test
