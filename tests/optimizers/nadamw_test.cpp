// nadamw_test.cpp - NAdamW gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr NAdamW kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0, .weight_decay = 0.5};

// m = 0.5 * 2 = 1, 0.5 * 1 + 0.5 * 2 = 1.5, m_hat = 1.5 / 0.5 = 3; v = 0.25 * 4 = 1, v_hat = 1 / 0.25 = 4.
// p = (1 - 0.25 * 0.5) * 2 - 0.25 * 3 / (2 + 2).
TEST(NAdamW, NumeratorIsTheMomentMovedTwiceTowardsTheGradient) {
  OneElement<NAdamW> one(kExact, 2.0f);
  EXPECT_EQ(one.step(2.0f), 1.5625f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
}

TEST(NAdamW, StateIsTheMomentMovedOnce) {
  OneElement<NAdamW> one(kExact, 2.0f);
  one.step(2.0f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  one.step(4.0f);
  EXPECT_EQ(one.state("exp_avg"), 2.5f);
}

// m = 0.5, and 0.5 * 0.5 + 0.5 * 0 = 0.25. Dozat's form would divide the moment's part by 1 - 0.5^3.
TEST(NAdamW, BothPartsAreCorrectedByThisStepsPower) {
  OneElement<NAdamW> one(kExact, 2.0f);
  one.step(2.0f);
  const double wanted = 1.5625 * 0.875 - 0.25 * (0.25 / 0.75) / (std::sqrt(0.75 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(one.step(0.0f), static_cast<float>(wanted)), 1);
}

TEST(NAdamW, WithoutMomentumEveryStepIsThatOfAdamW) {
  OneElement<NAdamW> one({.beta1 = 0.0}, 1.0f);
  OneElement<AdamW> other({.beta1 = 0.0}, 1.0f);
  for (const float gradient : {2.0f, -1.0f, 0.0f, 3.0f}) EXPECT_EQ(one.step(gradient), other.step(gradient));
}

TEST(NAdamW, TinyBetaGivesFiniteCoefficients) {
  EXPECT_NO_THROW(OneElement<NAdamW>({.beta1 = 1e-60}).step(1.0f));
}

TEST(NAdamW, DecayShrinksTheParameterByDefaultAndDoesNotPassThroughTheMoments) {
  EXPECT_EQ(NAdamW{}.weight_decay, 0.01);
  OneElement<NAdamW> one(kExact, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
}

TEST(NAdamW, CoupledDecayPassesThroughTheMoments) {
  NAdamW rule = kExact;
  rule.weight_decay_mode = WeightDecay::coupled;
  rule.weight_decay = 1.0;
  OneElement<NAdamW> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.8125f);  // as with a gradient of 2: 2 - 0.1875
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
}

TEST(NAdamW, LateParameterIsCorrectedByItsOwnStepCount) {
  std::vector<float> first{2.0f}, late{2.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 1.5625f);  // as on every parameter's first step
}

TEST(NAdamW, NaNAndInfReachMomentsAndParameter) {
  for (const float gradient :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    OneElement<NAdamW> one(kExact, 1.0f);
    EXPECT_TRUE(std::isnan(one.step(gradient)));  // Inf / Inf, or NaN
    EXPECT_FALSE(std::isfinite(one.state("exp_avg")));
    EXPECT_FALSE(std::isfinite(one.state("exp_avg_sq")));
    EXPECT_TRUE(std::isnan(one.step(0.0f)));
  }
}

}  // namespace
}  // namespace onepass::test
