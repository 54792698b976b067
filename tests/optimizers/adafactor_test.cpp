// adafactor_test.cpp - Adafactor gives answers worked out by hand; matrices_test.cpp and conformance.cpp
// compare it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/numbers/matrices.hpp"

namespace onepass::test {
namespace {

/// A rate of 0.5 on the first step, whatever the parameter.
constexpr Adafactor kPlain{.lr = 0.5, .eps1 = 0.0, .scale_parameter = false};

// On step 1 the averages are the squares themselves: u = g / |g|, and rms(u) = 1.
TEST(Adafactor, FirstStepOfAVectorIsTheSign) {
  EXPECT_EQ(stepped(kPlain, {1, 1, 1}, {2, -5, 0.25f}), (std::vector<float>{0.5f, 1.5f, 0.5f}));
}

// g^2 = (4, 1; 16, 9): rows 2.5, 12.5, columns 10, 5, mean 7.5. v = (10/3, 5/3; 50/3, 25/3).
TEST(Adafactor, MatrixDividesByTheProductOfItsRowAndColumn) {
  Adafactor rule = kPlain;
  rule.d = 0.0;
  const double v[] = {10.0 / 3, 5.0 / 3, 50.0 / 3, 25.0 / 3};
  expect_near(stepped(rule, {0, 0, 0, 0}, {2, 1, -4, 3}, {2, 2}),
              {-0.5 * 2 / std::sqrt(v[0]), -0.5 / std::sqrt(v[1]), 0.5 * 4 / std::sqrt(v[2]),
               -0.5 * 3 / std::sqrt(v[3])});
}

// Two matrices of one row each: the factored average is g^2 itself.
TEST(Adafactor, LeadingDimensionsCountMatrices) {
  expect_near(stepped(kPlain, {0, 0, 0, 0}, {2, 1, -400, 300}, {2, 1, 2}), {-0.5, -0.5, 0.5, -0.5});
}

TEST(Adafactor, StepIsTheParametersRootMeanSquareTimesTheRate) {
  Adafactor rule = kPlain;
  rule.scale_parameter = true;
  expect_near(stepped(rule, {3, -4}, {1, 1}), {3 - 0.5 * std::sqrt(12.5), -4 - 0.5 * std::sqrt(12.5)});
  rule.eps2 = 0.25;
  expect_near(stepped(rule, {0, 0}, {1, -1}), {-0.125, 0.125});
}

TEST(Adafactor, RelativeStepIsAtMostOneOverTheRootOfTheStep) {
  std::vector<float> value{0}, gradient{1};
  Adafactor rule = kPlain;
  rule.lr = 0.9;
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  optimizer.step();
  EXPECT_FLOAT_EQ(value[0], -0.9f);
  optimizer.step();
  EXPECT_FLOAT_EQ(value[0], -0.9f - static_cast<float>(std::sqrt(0.5)));
}

TEST(Adafactor, WarmupInitBeginsAtAMillionth) {
  Adafactor rule = kPlain;
  rule.warmup_init = true;
  EXPECT_FLOAT_EQ(stepped(rule, {0}, {1})[0], -1e-6f);
}

TEST(Adafactor, ZeroGradientMovesNothing) {
  EXPECT_EQ(stepped(Adafactor{}, {1, 2, 3, 4}, {0, 0, 0, 0}, {2, 2}), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(stepped(Adafactor::t5(), {1, 2, 3, 4}, {0, 0, 0, 0}, {2, 2}), (std::vector<float>{1, 2, 3, 4}));
}

// Row and column of the last element have 1e-30 alone, and the product of both is less than any float32.
TEST(Adafactor, RowAndColumnWithoutGradientsMoveNothing) {
  Adafactor rule = Adafactor::transformers();
  rule.lr = 0.5;
  expect_near(stepped(rule, {1, 2, 3, 4}, {8, 0, 0, 0}, {2, 2}), {0.5, 2, 3, 4});
}

TEST(Adafactor, MatrixKeepsARowAndAColumnOfNumbers) {
  std::vector<float> value(12), gradient(12, 1.0f);
  Parameter parameter{"p", std::span(value), std::span(gradient)};
  parameter.shape = {2, 3, 2};
  Optimizer optimizer{Adafactor{}, std::vector<Parameter>{parameter}};
  EXPECT_EQ(optimizer.state("p", "row_var").numel, 6);
  EXPECT_EQ(optimizer.state("p", "col_var").numel, 4);
}

TEST(Adafactor, NaNSpreadsOverItsMatrixAndNoFurther) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto after = stepped(kPlain, {0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, nan, 1, 1, 1, 1, 1}, {2, 2, 2});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(after[i]));
  for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(after[i], -0.5f);
}

}  // namespace
}  // namespace onepass::test
