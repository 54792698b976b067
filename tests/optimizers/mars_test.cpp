// mars_test.cpp - MARS gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

/// gamma * beta1 / (1 - beta1) = 0.5, and a step is of the sign of exp_avg.
constexpr MARS kPlain{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.0, .eps = 0.0, .gamma = 0.5};

/// Two parameters and their gradients.
class TwoElements {
 public:
  explicit TwoElements(const MARS& rule) : optimizer_{rule, parameters()} {}

  /// Takes a step with these gradients and returns the parameters.
  std::vector<float> step(std::vector<float> gradient) {
    gradient_.swap(gradient);
    optimizer_.set_gradients(std::vector<Tensor>{{gradient_.data(), 2}});
    optimizer_.step();
    return value_;
  }
  std::vector<float> state(const char* name) {
    const auto* const data = static_cast<const float*>(optimizer_.state("p", name).data);
    return {data, data + 2};
  }

 private:
  std::vector<Parameter> parameters() { return {{"p", std::span(value_), std::span(gradient_)}}; }

  std::vector<float> value_{2, 4}, gradient_{0, 0};
  Optimizer optimizer_;
};

TEST(MARS, FirstStepHasNoDifference) {
  TwoElements two(kPlain);
  EXPECT_EQ(two.step({0.5f, -0.25f}), (std::vector<float>{1.5f, 4.5f}));
  EXPECT_EQ(two.state("exp_avg"), (std::vector<float>{0.25f, -0.125f}));
  EXPECT_EQ(two.state("last_grad"), (std::vector<float>{0.5f, -0.25f}));
}

// c = 0.75 + 0.5 * (0.75 - 0.5) and 0 + 0.5 * (0 + 0.25); exp_avg = (exp_avg + c) / 2.
TEST(MARS, DifferenceOfGradientsJoinsTheGradient) {
  TwoElements two(kPlain);
  two.step({0.5f, -0.25f});
  two.step({0.75f, 0});
  EXPECT_EQ(two.state("exp_avg"), (std::vector<float>{0.5625f, 0}));
  EXPECT_EQ(two.state("exp_avg_sq"), (std::vector<float>{0.875f * 0.875f, 0.125f * 0.125f}));
}

// The norm of {3, 4} is 5. It is clipped, and last_grad is not.
TEST(MARS, CorrectedGradientHasANormOfAtMostOne) {
  TwoElements two(kPlain);
  two.step({3, 4});
  EXPECT_FLOAT_EQ(two.state("exp_avg")[0], 0.3f);
  EXPECT_FLOAT_EQ(two.state("exp_avg")[1], 0.4f);
  EXPECT_EQ(two.state("last_grad"), (std::vector<float>{3, 4}));
}

TEST(MARS, DecayIsDecoupled) {
  MARS rule = kPlain;
  rule.weight_decay = 0.5;
  EXPECT_EQ(TwoElements(rule).step({0.5f, -0.25f}), (std::vector<float>{1, 3.5f}));
}

TEST(MARS, NaNStaysInItsElement) {
  TwoElements two(kPlain);
  const std::vector<float> after = two.step({std::numeric_limits<float>::quiet_NaN(), 4});
  EXPECT_TRUE(std::isnan(after[0]));
  EXPECT_EQ(after[1], 3.5f);
}

TEST(MARS, InfinityMakesTheOtherCorrectedGradientsZero) {
  TwoElements two(kPlain);
  two.step({std::numeric_limits<float>::infinity(), 4});
  EXPECT_TRUE(std::isnan(two.state("exp_avg")[0]));
  EXPECT_EQ(two.state("exp_avg")[1], 0.0f);
}

}  // namespace
}  // namespace onepass::test
