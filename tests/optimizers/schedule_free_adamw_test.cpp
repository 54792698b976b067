// schedule_free_adamw_test.cpp - Schedule-Free AdamW gives answers worked out by hand; conformance.cpp
// compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr ScheduleFreeAdamW kExact{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

// v = 0.25 * 4 = 1, v_hat = 4; u = 2 / (2 + 2); y = 1 - 0.5 * 0.5.
TEST(ScheduleFreeAdamW, DirectionIsTheNormalisedGradient) {
  OneElement<ScheduleFreeAdamW> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.75f);
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
  EXPECT_EQ(one.state("z_minus_y"), 0.0f);
}

TEST(ScheduleFreeAdamW, SecondStepLetsZRunAhead) {
  OneElement<ScheduleFreeAdamW> one(kExact, 1.0f);
  one.step(2.0f);
  const float y = one.step(2.0f);
  const double v_hat = (0.75 + 1.0) / (1.0 - 0.5625), u = 2.0 / (std::sqrt(v_hat) + 2.0);
  const double z = 0.75 - 0.5 * u, x = 0.5 * (0.75 + z);
  EXPECT_LE(ulp_distance(y, static_cast<float>(0.5 * (x + z))), 2);
  EXPECT_NEAR(one.state("z_minus_y"), z - 0.5 * (x + z), 1e-7);
}

TEST(ScheduleFreeAdamW, DecayIsNotNormalised) {
  ScheduleFreeAdamW rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<ScheduleFreeAdamW> one(rule, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.25f);  // u = 0.5 + 1
  EXPECT_EQ(one.state("exp_avg_sq"), 1.0f);
}

TEST(ScheduleFreeAdamW, CoupledDecayIsNormalised) {
  ScheduleFreeAdamW rule = kExact;
  rule.weight_decay = 1.0;
  rule.weight_decay_mode = WeightDecay::coupled;
  OneElement<ScheduleFreeAdamW> one(rule, 1.0f);
  EXPECT_EQ(one.step(1.0f), 0.75f);  // the gradient becomes 2
}

TEST(ScheduleFreeAdamW, NaNReachesParameterAndStates) {
  OneElement<ScheduleFreeAdamW> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(one.state("z_minus_y")));
}

}  // namespace
}  // namespace onepass::test
