// adam_mini_test.cpp - AdamMini gives answers worked out by hand; matrices_test.cpp and conformance.cpp
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

constexpr AdamMini kPlain{.lr = 0.5, .beta1 = 0.0, .beta2 = 0.0, .eps = 0.0};

TEST(AdamMini, VectorTakesAdamsStep) {
  EXPECT_EQ(stepped(kPlain, {1, 1, 1}, {2, -5, 8}), (std::vector<float>{0.5f, 1.5f, 0.5f}));
}

// The rows' means of squares are 25 and 100.
TEST(AdamMini, RowsDivideByTheRootOfTheirMeanSquare) {
  expect_near(stepped(kPlain, {0, 0, 0, 0}, {1, 7, -10, 10}, {2, 2}), {-0.1, -0.7, 0.5, -0.5});
}

TEST(AdamMini, ShapeOfOneRowIsOneBlock) {
  expect_near(stepped(kPlain, {0, 0, 0, 0}, {1, 7, 1, 7}, {1, 4}), {-0.1, -0.7, -0.1, -0.7});
}

TEST(AdamMini, KeepsOneSecondMomentForEachRow) {
  std::vector<float> value(12), gradient(12, 1.0f);
  Parameter parameter{"p", std::span(value), std::span(gradient)};
  parameter.shape = {2, 3, 2};
  Optimizer optimizer{AdamMini{}, std::vector<Parameter>{parameter}};
  EXPECT_EQ(optimizer.state("p", "vmean").numel, 6);
  EXPECT_EQ(optimizer.state("p", "exp_avg").numel, 12);
}

TEST(AdamMini, NaNSpreadsOverItsRowAndNoFurther) {
  const auto after =
      stepped(AdamMini{}, {0, 0, 0, 0}, {1, std::numeric_limits<float>::quiet_NaN(), 1, 1}, {2, 2});
  EXPECT_TRUE(std::isnan(after[0]) && std::isnan(after[1]));
  EXPECT_FALSE(std::isnan(after[2]) || std::isnan(after[3]));
}

}  // namespace
}  // namespace onepass::test
