// came_test.cpp - CAME gives answers worked out by hand; matrices_test.cpp and conformance.cpp compare it
// with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/numbers/matrices.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

/// Averages of the numbers at hand.
constexpr CAME kPlain{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.0, .beta3 = 0.0, .eps1 = 0.0, .eps2 = 0.0};

// u = g / |g| = 1, and exp_avg half of it.
TEST(CAME, VectorTakesTheAverageOfSigns) {
  EXPECT_EQ(stepped(kPlain, {1, 1}, {3, -2}), (std::vector<float>{0.75f, 1.25f}));
}

// One row: u is the sign, exp_avg and the rest are half of it, and their squares a quarter: the step is
// 0.5 * 0.5 / sqrt(0.25).
TEST(CAME, MatrixDividesByTheRootOfItsResiduals) {
  expect_near(stepped(kPlain, {1, 1}, {3, -2}, {1, 2}), {0.5, 1.5});
}

// beta2 = 0.75: exp_avg_sq is g^2 / 4 and u is 2, which is clipped to 1.
TEST(CAME, LargeDirectionsAreClipped) {
  CAME rule = kPlain;
  rule.beta2 = 0.75;
  EXPECT_EQ(stepped(rule, {1, 1}, {3, -2}), (std::vector<float>{0.75f, 1.25f}));
  rule.clip_threshold = 0.0;
  EXPECT_EQ(stepped(rule, {1, 1}, {3, -2}), (std::vector<float>{0.5f, 1.5f}));
}

TEST(CAME, ZeroGradientMovesNothing) {
  EXPECT_EQ(stepped(CAME{}, {1, 2, 3, 4}, {0, 0, 0, 0}, {2, 2}), (std::vector<float>{1, 2, 3, 4}));
}

// Row and column of the last element have eps1 alone, and the product of both is less than any float32.
TEST(CAME, RowAndColumnWithoutGradientsMoveNothing) {
  const auto after = stepped(CAME{}, {1, 2, 3, 4}, {8, 0, 0, 0}, {2, 2});
  EXPECT_LT(after[0], 1.0f);
  EXPECT_EQ(std::vector<float>(after.begin() + 1, after.end()), (std::vector<float>{2, 3, 4}));
}

TEST(CAME, EpsThatItsAverageCannotHoldIsRefused) {
  EXPECT_TRUE(
      refused([] { Rule(CAME{.eps1 = 1e-44}).check(); }, {"CAME", "eps1 * (1 - beta2) is 0 in float32"}));
  EXPECT_TRUE(
      refused([] { Rule(CAME{.eps2 = 1e-43}).check(); }, {"CAME", "eps2 * (1 - beta3) is 0 in float32"}));
}

TEST(CAME, NaNSpreadsOverItsMatrixAndNoFurther) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto after = stepped(CAME{}, {0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, nan, 1, 1, 1, 1, 1}, {2, 2, 2});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(after[i]));
  for (std::size_t i = 4; i < 8; ++i) EXPECT_LT(after[i], 0.0f);
}

}  // namespace
}  // namespace onepass::test
