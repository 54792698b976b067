// stable_adamw_test.cpp - StableAdamW gives answers worked out by hand; conformance.cpp compares it with its
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

/// exp_avg is the last gradient, and exp_avg_sq = g1^2 / 3 + 2 g2^2 / 3 after two steps.
constexpr StableAdamW kPlain{.lr = 0.5, .beta1 = 0.0, .beta2 = 0.5, .eps = 0.0, .weight_decay = 0.0};

/// Two parameters and their gradients.
class TwoElements {
 public:
  explicit TwoElements(const StableAdamW& rule) : optimizer_{rule, parameters()} {}

  /// Takes a step with these gradients and returns the parameters.
  std::vector<float> step(std::vector<float> gradient) {
    gradient_.swap(gradient);
    optimizer_.set_gradients(std::vector<Tensor>{{gradient_.data(), 2}});
    optimizer_.step();
    return value_;
  }
  float state(const char* name) { return *static_cast<const float*>(optimizer_.state("p", name).data); }

 private:
  std::vector<Parameter> parameters() { return {{"p", std::span(value_), std::span(gradient_)}}; }

  std::vector<float> value_{2, 4}, gradient_{0, 0};
  Optimizer optimizer_;
};

TEST(StableAdamW, FirstStepIsAnAdamStep) {
  EXPECT_EQ(TwoElements(kPlain).step({8, -3}), (std::vector<float>{1.5f, 4.5f}));
}

// exp_avg_sq = {11, 1}, so the mean of the squares is (16 / 11 + 1) / 2 = 27 / 22.
TEST(StableAdamW, RateFallsByTheRootMeanSquareOfTheWholeTensor) {
  TwoElements two(kPlain);
  two.step({1, 1});
  const std::vector<float> after = two.step({4, 1});
  const float rate = 0.5f / std::sqrt(27.0f / 22.0f);
  EXPECT_FLOAT_EQ(after[0], 1.5f - rate * 4.0f / std::sqrt(11.0f));
  EXPECT_FLOAT_EQ(after[1], 3.5f - rate);
}

// exp_avg_sq = {16, 1 / 3 + 2 / 3}; the mean of the squares is (1 / 16 + 1) / 2.
TEST(StableAdamW, RateDoesNotRiseForSmallGradients) {
  TwoElements two(kPlain);
  two.step({std::sqrt(46.0f), 1});
  const std::vector<float> after = two.step({1, 1});
  EXPECT_FLOAT_EQ(after[0], 1.5f - 0.5f / 4.0f);
  EXPECT_FLOAT_EQ(after[1], 3.5f - 0.5f);
}

TEST(StableAdamW, DecayHasTheRateOfTheTensor) {
  StableAdamW rule = kPlain;
  rule.weight_decay = 0.5;
  TwoElements two(rule);
  const std::vector<float> before = two.step({1, 1});
  EXPECT_EQ(before, (std::vector<float>{1, 2.5f}));  // 2 - 0.5 * (1 + 0.5 * 2), 4 - 0.5 * (1 + 0.5 * 4)
  const std::vector<float> after = two.step({4, 1});
  const float rate = 0.5f / std::sqrt(27.0f / 22.0f);
  EXPECT_FLOAT_EQ(after[1], 2.5f - rate * (1.0f + 0.5f * 2.5f));
}

// 0.5 / max(0.5, 1) is below 1; p loses 0.5 * 0.5 / (0.5 + 1).
TEST(StableAdamW, EpsBoundsTheDivisors) {
  StableAdamW rule = kPlain;
  rule.eps = 1.0;
  TwoElements two(rule);
  EXPECT_FLOAT_EQ(two.step({0.5f, 0.5f})[0], 2.0f - 0.5f / 3.0f);
}

// (0.5 * 0.5 * 1 + 0.5 * 3) / (1 - 0.25)
TEST(StableAdamW, StatesAreCorrectedAverages) {
  StableAdamW rule = kPlain;
  rule.beta1 = 0.5;
  TwoElements two(rule);
  two.step({1, 0});
  two.step({3, 0});
  EXPECT_FLOAT_EQ(two.state("exp_avg"), 7.0f / 3.0f);
  EXPECT_FLOAT_EQ(two.state("exp_avg_sq"), 19.0f / 3.0f);
}

TEST(StableAdamW, NaNStaysInItsElement) {
  TwoElements two(kPlain);
  const std::vector<float> after = two.step({std::numeric_limits<float>::quiet_NaN(), 4});
  EXPECT_TRUE(std::isnan(after[0]));
  EXPECT_EQ(after[1], 3.5f);
}

TEST(StableAdamW, OtherDecaysAreRefused) {
  StableAdamW rule;
  rule.weight_decay_mode = WeightDecay::cautious;
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"weight_decay_mode must be coupled or decoupled"}));
}

}  // namespace
}  // namespace onepass::test
