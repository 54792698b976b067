// novograd_test.cpp - NovoGrad gives answers worked out by hand; conformance.cpp compares it with its
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

constexpr NovoGrad kPlain{.lr = 1.0, .beta1 = 0.5, .beta2 = 0.75, .eps = 0.0};

/// Four parameters and their gradients.
class FourElements {
 public:
  explicit FourElements(const NovoGrad& rule) : optimizer_{rule, parameters()} {}

  /// Takes a step with these gradients and returns the parameters.
  std::vector<float> step(std::vector<float> gradient) {
    gradient_.swap(gradient);
    optimizer_.set_gradients(std::vector<Tensor>{{gradient_.data(), 4}});
    optimizer_.step();
    return value_;
  }
  double exp_avg_norm_sq() {
    return *static_cast<const double*>(optimizer_.state("p", "exp_avg_norm_sq").data);
  }

 private:
  std::vector<Parameter> parameters() { return {{"p", std::span(value_), std::span(gradient_)}}; }

  std::vector<float> value_{4, 4, 4, 4}, gradient_{0, 0, 0, 0};
  Optimizer optimizer_;
};

// ||g|| = 4, so x = g / 4.
TEST(NovoGrad, FirstStepDividesByTheNorm) {
  FourElements four(kPlain);
  EXPECT_EQ(four.step({2, 2, -2, 2}), (std::vector<float>{3.5f, 3.5f, 4.5f, 3.5f}));
  EXPECT_EQ(four.exp_avg_norm_sq(), 16.0);
}

// exp_avg_norm_sq = 0.75 * 16 + 0.25 * 208 = 64; exp_avg = 0.5 * 0.5 + 6 / 8 and 0.25 + 10 / 8 ...
TEST(NovoGrad, LaterStepsDivideByTheAverageNorm) {
  FourElements four(kPlain);
  four.step({2, 2, 2, 2});
  EXPECT_EQ(four.step({6, 10, 6, -6}), (std::vector<float>{2.5f, 2, 2.5f, 4}));
  EXPECT_EQ(four.exp_avg_norm_sq(), 64.0);
}

// The second gradient counts by a quarter: exp_avg_norm_sq = 0.25 * 16.
TEST(NovoGrad, FirstStepIsTheFirstAlsoWithoutAGradient) {
  NovoGrad rule = kPlain;
  rule.eps = 2.0;
  FourElements four(rule);
  EXPECT_EQ(four.step({0, 0, 0, 0}), (std::vector<float>{4, 4, 4, 4}));
  EXPECT_EQ(four.step({2, 2, 2, 2}), (std::vector<float>{3.5f, 3.5f, 3.5f, 3.5f}));
}

// x = 0.5 + 0.25 * 4
TEST(NovoGrad, DecayJoinsTheMomentum) {
  NovoGrad rule = kPlain;
  rule.weight_decay = 0.25;
  FourElements four(rule);
  EXPECT_EQ(four.step({2, 2, 2, 2})[0], 2.5f);
  EXPECT_EQ(four.step({0, 0, 0, 0})[0], 2.5f - (0.5f * 1.5f + 0.25f * 2.5f));
}

TEST(NovoGrad, GradAveragingGivesTheStepLessWeight) {
  NovoGrad rule = kPlain;
  rule.grad_averaging = true;
  EXPECT_EQ(FourElements(rule).step({2, 2, 2, 2})[0], 3.75f);
}

TEST(NovoGrad, NaNReachesTheWholeTensor) {
  for (const float p : FourElements(kPlain).step({2, std::numeric_limits<float>::quiet_NaN(), 2, 2}))
    EXPECT_TRUE(std::isnan(p));
}

TEST(NovoGrad, AfterInfinityOtherElementsMoveByTheirMomentumAlone) {
  FourElements four(kPlain);
  four.step({2, 2, 2, 2});
  const std::vector<float> after = four.step({2, 2, 2, std::numeric_limits<float>::infinity()});
  EXPECT_EQ(after[0], 3.25f);
  EXPECT_TRUE(std::isnan(after[3]));
}

TEST(NovoGrad, OtherDecaysAreRefused) {
  NovoGrad rule;
  rule.weight_decay_mode = WeightDecay::after;
  EXPECT_TRUE(refused([&] { Rule(rule).check(); }, {"weight_decay_mode must be coupled or decoupled"}));
}

}  // namespace
}  // namespace onepass::test
