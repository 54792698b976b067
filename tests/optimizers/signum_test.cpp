// signum_test.cpp - Signum gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The products of these numbers are exact in float32.
constexpr Signum kExact{.lr = 0.25, .momentum = 0.5};
constexpr Signum kSignSGD{.lr = 0.25, .momentum = 0.0};

TEST(Signum, StepIsLrTimesTheSignOfTheAverageWhateverItsSize) {
  OneElement<Signum> one(kExact, 1.0f);
  EXPECT_EQ(one.step(8.0f), 0.75f);  // buf = 4
  EXPECT_EQ(one.state("momentum_buffer"), 4.0f);
  EXPECT_EQ(one.step(-2.0f), 0.5f);  // buf = 2 - 1, against the sign of the gradient
  EXPECT_EQ(one.state("momentum_buffer"), 1.0f);
  EXPECT_EQ(one.step(-2.0f), 0.75f);  // buf = 0.5 - 1
  EXPECT_EQ(one.state("momentum_buffer"), -0.5f);
}

// buf is 4, then 2 - 1.5 = 0.5. Nesterov looks at 0.5 * 0.5 - 0.5 * 3 = -1.25.
TEST(Signum, NesterovTakesTheSignOfGradientAndNewBuffer) {
  Signum rule = kExact;
  rule.nesterov = true;
  OneElement<Signum> one(rule, 1.0f), without(kExact, 1.0f);
  EXPECT_EQ(one.step(8.0f), 0.75f);
  EXPECT_EQ(one.step(-3.0f), 1.0f);
  EXPECT_EQ(one.state("momentum_buffer"), 0.5f);
  without.step(8.0f);
  EXPECT_EQ(without.step(-3.0f), 0.5f);
}

TEST(Signum, NesterovWithoutMomentumIsRefused) {
  EXPECT_TRUE(refused([] { Rule(Signum{.momentum = 0.0, .nesterov = true}).check(); },
                      {"Signum", "nesterov", "momentum"}));
  EXPECT_NO_THROW(Rule(Signum{.nesterov = true}).check());
}

TEST(Signum, WithoutMomentumIsSignSGDAndHasNoState) {
  OneElement<Signum> one(kSignSGD, 1.0f);
  EXPECT_TRUE(one.optimizer().state_names().empty());
  EXPECT_EQ(one.step(1e-30f), 0.75f);
  EXPECT_EQ(one.step(-1e30f), 1.0f);
}

TEST(Signum, SignOfZeroIsZero) {
  for (const Signum& rule : {kExact, kSignSGD}) {
    OneElement<Signum> one(rule, 1.0f);
    EXPECT_EQ(one.step(0.0f), 1.0f);
    EXPECT_EQ(one.step(-0.0f), 1.0f);
  }
}

TEST(Signum, DecayIsDecoupledByDefault) {
  OneElement<Signum> one({.lr = 0.25, .momentum = 0.5, .weight_decay = 0.5}, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);  // 2 * (1 - 0.25 * 0.5); coupled decay would step by lr
  EXPECT_EQ(one.state("momentum_buffer"), 0.0f);
}

TEST(Signum, CoupledDecayCanTurnTheSign) {
  OneElement<Signum> one(
      {.lr = 0.25, .momentum = 0.0, .weight_decay = 1.0, .weight_decay_mode = WeightDecay::coupled}, 2.0f);
  EXPECT_EQ(one.step(-1.0f), 1.75f);  // sign(-1 + 2)
}

TEST(Signum, InfiniteGradientCountsByItsSign) {
  EXPECT_EQ(OneElement<Signum>(kSignSGD, 1.0f).step(-kInf), 1.25f);
  OneElement<Signum> one(kExact, 1.0f);
  EXPECT_EQ(one.step(kInf), 0.75f);
  EXPECT_EQ(one.state("momentum_buffer"), kInf);
  EXPECT_TRUE(std::isnan(one.step(0.0f)));  // Inf - Inf
}

TEST(Signum, NaNReachesBufferAndParameter) {
  EXPECT_TRUE(std::isnan(OneElement<Signum>(kSignSGD, 1.0f).step(kNaN)));
  OneElement<Signum> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
  EXPECT_TRUE(std::isnan(one.state("momentum_buffer")));
}

TEST(Signum, MomentumThatBecomesZeroDoesNotReadTheBuffer) {
  OneElement<Signum> one(kExact);
  *static_cast<float*>(one.optimizer().state("p", "momentum_buffer").data) = kInf;
  one.optimizer().set_rule(kSignSGD);
  EXPECT_EQ(one.step(-2.0f), 0.25f);
  EXPECT_EQ(one.state("momentum_buffer"), -2.0f);
  one.optimizer().set_rule(kExact);
  EXPECT_EQ(one.step(1.0f), 0.5f);  // buf = -1 + 0.5
}

// 1 - 0.999f is 0.00100004673. If momentum were rounded first, the buffer would be 47 parts in a million too
// large.
TEST(Signum, OneMinusMomentumIsRoundedOnlyAfterTheSubtraction) {
  OneElement<Signum> one({.momentum = 0.999});
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("momentum_buffer"), static_cast<float>(1.0 - 0.999)), 1);
}

TEST(Signum, LateParameterStartsWithAnEmptyBuffer) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{-2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(first[0], 0.5f);
  EXPECT_EQ(late[0], 1.25f);
}

}  // namespace
}  // namespace onepass::test
