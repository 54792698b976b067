// lion_test.cpp - Lion gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The products of these numbers are exact in float32.
constexpr Lion kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75};

// c = 4, then 0.5 * 2 - 0.5 * 3 = -0.5. The average after the step, 0.75 * 2 - 0.25 * 3 = 0.75, would have
// the other sign.
TEST(Lion, StepIsTheSignOfGradientAndOldAverage) {
  OneElement<Lion> one(kExact, 1.0f);
  EXPECT_EQ(one.step(8.0f), 0.75f);
  EXPECT_EQ(one.state("exp_avg"), 2.0f);
  EXPECT_EQ(one.step(-3.0f), 1.0f);
  EXPECT_EQ(one.state("exp_avg"), 0.75f);
}

TEST(Lion, FirstStepHasLengthLrWhateverTheGradient) {
  for (const float gradient : {1e-30f, -1.0f, 1e30f}) {
    EXPECT_EQ(OneElement<Lion>(kExact, 1.0f).step(gradient), gradient > 0 ? 0.75f : 1.25f) << gradient;
  }
}

// A sign that is 1 or -1 for 0 would move embeddings that no batch has used yet.
TEST(Lion, RowsOfZerosStayWhereTheyAre) {
  OneElement<Lion> one(kExact, 1.0f);
  for (const float zero : {0.0f, -0.0f, 0.0f}) EXPECT_EQ(one.step(zero), 1.0f);
}

// c = 0.5 * 1 - 0.5 * 1 is 0 exactly.
TEST(Lion, CancelledDirectionMovesNothing) {
  OneElement<Lion> one(kExact, 1.0f);
  one.step(4.0f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.step(-1.0f), 0.75f);
}

TEST(Lion, AverageOfADeadParameterMovesItUntilItSettles) {
  OneElement<Lion> one({.lr = 0.25, .beta1 = 0.5, .beta2 = 0.25}, 1.0f);
  float p = one.step(0x1p-80f);
  for (int step = 2; step <= 15; ++step) p = one.step(0.0f);
  EXPECT_EQ(p, 1.0f - 15 * 0.25f);
  EXPECT_GT(one.state("exp_avg"), 0.0f);
  EXPECT_EQ(one.step(0.0f), p);  // step 16 settles the average, which is below 2^-100
  EXPECT_EQ(one.state("exp_avg"), 0.0f);
  EXPECT_EQ(one.step(0.0f), p);
}

TEST(Lion, DecayIsDecoupledByDefaultAndScaledByTheRate) {
  OneElement<Lion> one({.lr = 0.25, .weight_decay = 0.5}, 2.0f);
  EXPECT_EQ(one.step(1.0f), 1.5f);  // 2 * (1 - 0.25 * 0.5) - 0.25
  one.optimizer().set_lr(0.5);
  EXPECT_EQ(one.step(1.0f), 0.625f);  // 1.5 * (1 - 0.5 * 0.5) - 0.5
}

TEST(Lion, CoupledDecayPassesThroughTheAverage) {
  Lion rule = kExact;
  rule.weight_decay = 1.0;
  rule.weight_decay_mode = WeightDecay::coupled;
  OneElement<Lion> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);  // as with a gradient of 2
  EXPECT_EQ(one.state("exp_avg"), 0.5f);
}

TEST(Lion, MaximizeReversesTheStep) {
  Lion rule = kExact;
  rule.maximize = true;
  OneElement<Lion> one(rule, 1.0f);
  EXPECT_EQ(one.step(2.0f), 1.25f);
  EXPECT_EQ(one.state("exp_avg"), -0.5f);
}

TEST(Lion, WithEqualBetasHasTheBitsOfSignum) {
  OneElement<Lion> one({.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.9, .weight_decay = 0.1}, 1.0f);
  OneElement<Signum> other({.lr = 1e-3, .momentum = 0.9, .weight_decay = 0.1}, 1.0f);
  for (const float gradient : {0.3f, -0.2f, 0.1f, -0.7f, 0.0f, 0.4f}) {
    EXPECT_EQ(one.step(gradient), other.step(gradient));
    EXPECT_EQ(one.state("exp_avg"), other.state("momentum_buffer"));
  }
}

// 1 - 0.999f is 0.00100004673. If beta2 were rounded first, the average would be 47 parts in a million too
// large.
TEST(Lion, OneMinusBetaIsRoundedOnlyAfterTheSubtraction) {
  OneElement<Lion> one({.beta2 = 0.999});
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("exp_avg"), static_cast<float>(1.0 - 0.999)), 1);
}

TEST(Lion, InfiniteGradientCountsByItsSignForOneStep) {
  OneElement<Lion> one(kExact, 1.0f);
  EXPECT_EQ(one.step(-kInf), 1.25f);
  EXPECT_EQ(one.state("exp_avg"), -kInf);
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
}

TEST(Lion, NaNReachesAverageAndParameter) {
  OneElement<Lion> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
  EXPECT_TRUE(std::isnan(one.state("exp_avg")));
}

TEST(Lion, LateParameterStartsWithAnEmptyAverage) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{8.0f}, late_gradient{-1.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(first[0], 0.5f);
  EXPECT_EQ(late[0], 1.25f);
}

}  // namespace
}  // namespace onepass::test
