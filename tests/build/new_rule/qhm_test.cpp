// qhm_test.cpp - QHM gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// The products of these numbers are exact in float32.
constexpr QHM kExact{.lr = 0.5, .beta = 0.5, .nu = 0.75};

TEST(QHM, StepIsTheWeightedMeanOfGradientAndBuffer) {
  OneElement<QHM> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.375f);  // buf = 1; 0.25 * 2 + 0.75 * 1 = 1.25
  EXPECT_EQ(one.state("momentum_buffer"), 1.0f);
  EXPECT_EQ(one.step(4.0f), -1.0625f);  // buf = 0.5 + 2; 0.25 * 4 + 0.75 * 2.5 = 2.875
  EXPECT_EQ(one.state("momentum_buffer"), 2.5f);
}

/// Expects that both rules move a parameter equally for several steps.
void expect_equal_steps(const QHM& rule, const SGD& sgd) {
  OneElement<QHM> one(rule, 1.0f);
  OneElement<SGD> other(sgd, 1.0f);
  for (const float gradient : {2.0f, -4.0f, 1.0f, 0.0f, 8.0f}) {
    EXPECT_EQ(one.step(gradient), other.step(gradient)) << "nu = " << rule.nu;
  }
}

TEST(QHM, StepIsThatOfSGDIfNuIsZeroOneOrBeta) {
  expect_equal_steps({.lr = 0.5, .beta = 0.5, .nu = 0.0}, {.lr = 0.5});
  expect_equal_steps({.lr = 0.5, .beta = 0.5, .nu = 1.0}, {.lr = 0.25, .momentum = 0.5});
  expect_equal_steps({.lr = 0.5, .beta = 0.5, .nu = 0.5}, {.lr = 0.25, .momentum = 0.5, .nesterov = true});
}

// 1 - 0.999f is 0.00100004673. If beta were rounded first, the buffer would be 47 parts in a million too
// large.
TEST(QHM, OneMinusBetaIsRoundedOnlyAfterTheSubtraction) {
  OneElement<QHM> one(QHM{});
  one.step(1.0f);
  EXPECT_LE(ulp_distance(one.state("momentum_buffer"), static_cast<float>(1.0 - 0.999)), 1);
}

TEST(QHM, CoupledDecayPassesThroughTheBuffer) {
  QHM rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<QHM> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.375f);  // as with a gradient of 2
  EXPECT_EQ(one.state("momentum_buffer"), 1.0f);
}

TEST(QHM, InfiniteGradientReachesBufferAndParameter) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  OneElement<QHM> one(kExact, 1.0f);
  EXPECT_EQ(one.step(kInf), -kInf);
  EXPECT_EQ(one.state("momentum_buffer"), kInf);
  EXPECT_TRUE(std::isnan(one.step(0.0f)));  // 0.5 * Inf - Inf
}

TEST(QHM, HyperparametersOutOfRangeAreRefused) {
  EXPECT_THROW(OneElement<QHM>({.beta = 1.0}), InvalidArgument);
  EXPECT_THROW(OneElement<QHM>({.nu = std::numeric_limits<double>::infinity()}), InvalidArgument);
  EXPECT_NO_THROW(OneElement<QHM>({.nu = 1.5}));
}

TEST(QHM, StateDictHoldsNuAndTheBuffer) {
  OneElement<QHM> one(kExact, 1.0f);
  const float moved = one.step(2.0f);
  const StateDict saved = one.optimizer().state_dict();
  ASSERT_EQ(saved.groups.size(), 1u);
  EXPECT_EQ(saved.groups[0].rule, "QHM");
  const SavedHyperparameter nu{"nu", "0.75"};
  EXPECT_EQ(std::ranges::count(saved.groups[0].hyperparameters, nu), 1);

  OneElement<QHM> other(QHM{}, moved);
  other.optimizer().load_state_dict(saved);
  EXPECT_EQ(other.optimizer().rule<QHM>().nu, 0.75);
  EXPECT_EQ(other.step(4.0f), one.step(4.0f));
}

}  // namespace
}  // namespace onepass::test
