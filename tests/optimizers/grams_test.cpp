// grams_test.cpp - Grams gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr Grams kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

TEST(Grams, FirstStepIsThatOfAdam) {
  EXPECT_EQ(OneElement<Grams>(kExact, 1.0f).step(2.0f), 0.875f);  // 2 / (2 + 2)
  EXPECT_EQ(OneElement<Grams>(kExact, 1.0f).step(-2.0f), 1.125f);
}

// After a gradient of 2, one of -1 gives m = 0.5 - 0.5 = 0, one of -0.5 gives 0.25. The step goes up,
// although the average is positive.
TEST(Grams, SignIsTheGradientsAndNotTheAverages) {
  OneElement<Grams> one(kExact, 1.0f);
  one.step(2.0f);
  const double v = 0.75 * 1.0 + 0.25 * 0.25;
  const double wanted = 0.875 + 0.25 * (0.25 / 0.75) / (std::sqrt(v / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(one.step(-0.5f), static_cast<float>(wanted)), 1);
  EXPECT_EQ(one.state("exp_avg"), 0.25f);
}

TEST(Grams, StateKeepsItsOwnSign) {
  OneElement<Grams> one(kExact);
  one.step(-2.0f);
  EXPECT_EQ(one.state("exp_avg"), -1.0f);
}

TEST(Grams, GradientOfZeroLeavesTheParameterWhateverTheAverage) {
  OneElement<Grams> one(kExact, 1.0f);
  const float moved = one.step(2.0f);
  EXPECT_EQ(one.step(0.0f), moved);
  EXPECT_EQ(one.step(-0.0f), moved);
  EXPECT_EQ(one.state("exp_avg"), 0.25f);
}

TEST(Grams, NaNInAStateSurvivesAGradientOfZero) {
  for (const char* const state : {"exp_avg", "exp_avg_sq"}) {
    OneElement<Grams> one(kExact, 1.0f);
    *static_cast<float*>(one.optimizer().state("p", state).data) = kNaN;
    EXPECT_TRUE(std::isnan(one.step(0.0f))) << state;
  }
}

TEST(Grams, NonFiniteGradientReachesMomentsAndParameter) {
  for (const float gradient : {std::numeric_limits<float>::infinity(), kNaN}) {
    OneElement<Grams> one(kExact, 1.0f);
    EXPECT_TRUE(std::isnan(one.step(gradient)));
    EXPECT_FALSE(std::isfinite(one.state("exp_avg")));
    EXPECT_FALSE(std::isfinite(one.state("exp_avg_sq")));
  }
}

TEST(Grams, MaximizeReversesTheStep) {
  Grams rule = kExact;
  rule.maximize = true;
  EXPECT_EQ(OneElement<Grams>(rule, 1.0f).step(2.0f), 1.125f);
}

TEST(Grams, CoupledDecayChoosesTheSignToo) {
  Grams rule = kExact;
  rule.weight_decay = 1.0;
  EXPECT_EQ(OneElement<Grams>(rule, 2.0f).step(0.0f), 1.5f);  // decoupled: (1 - 0.25) * 2
  rule.weight_decay_mode = WeightDecay::coupled;
  EXPECT_EQ(OneElement<Grams>(rule, 2.0f).step(0.0f), 1.875f);  // as with a gradient of 2
}

TEST(Grams, LateParameterIsCorrectedByItsOwnStepCount) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.875f);
}

}  // namespace
}  // namespace onepass::test
