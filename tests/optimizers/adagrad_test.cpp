// adagrad_test.cpp - Adagrad gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/formats/format_model.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// eps is large enough to show where the formula adds it.
constexpr Adagrad kExact{.lr = 0.5, .eps = 1.0};

TEST(Adagrad, StepDividesByTheRootOfTheSumOfSquares) {
  OneElement<Adagrad> one(kExact, 1.0f);
  EXPECT_EQ(one.step(3.0f), 0.625f);  // 1 - 0.5 * 3 / (3 + 1)
  EXPECT_EQ(one.state("sum"), 9.0f);
  EXPECT_LE(ulp_distance(one.step(-4.0f), static_cast<float>(0.625 + 0.5 * (4.0 / 6.0))), 1);
  EXPECT_EQ(one.state("sum"), 25.0f);
}

TEST(Adagrad, FirstStepHasLengthLrForAnyGradient) {
  for (const float gradient : {1e-3f, -1.0f, 1e4f}) {
    const float moved = OneElement<Adagrad>({.lr = 0.5, .eps = 0.0}).step(gradient);
    EXPECT_LE(ulp_distance(moved, gradient > 0 ? -0.5f : 0.5f), 1) << gradient;
  }
}

TEST(Adagrad, SumStartsAtTheInitialValueOnceForEachParameter) {
  Adagrad rule = kExact;
  rule.initial_accumulator_value = 16.0;
  OneElement<Adagrad> one(rule, 1.0f);
  EXPECT_EQ(one.step(3.0f), 0.75f);  // sum = 16 + 9, and 0.5 * 3 / (5 + 1)
  EXPECT_EQ(one.state("sum"), 25.0f);
  one.step(12.0f);
  EXPECT_EQ(one.state("sum"), 169.0f);
}

TEST(Adagrad, RateDecaysFromTheSecondStepOn) {
  Adagrad rule = kExact;
  rule.lr_decay = 1.0;
  OneElement<Adagrad> one(rule, 0.0f);
  EXPECT_EQ(one.step(3.0f), -0.375f);
  EXPECT_EQ(one.step(0.0f), -0.375f);
  const double third = -0.375 - 0.5 / 3.0 * (4.0 / 6.0);  // sum = 25, and lr / (1 + 2)
  EXPECT_LE(ulp_distance(one.step(4.0f), static_cast<float>(third)), 1);
}

TEST(Adagrad, LateParameterHasItsOwnSumAndRate) {
  Adagrad rule = kExact;
  rule.lr_decay = 1.0;
  rule.initial_accumulator_value = 16.0;
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{3.0f};
  Optimizer optimizer{rule, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.75f);  // as on every parameter's first step
}

// A step that is skipped is not a first step: the sum still begins with its initial value.
TEST(Adagrad, SkippedFirstStepLeavesTheStartToTheNext) {
  Adagrad rule = kExact;
  rule.initial_accumulator_value = 16.0;
  OneElement<Adagrad> one(rule, 1.0f);
  one.optimizer().set_gradient_handling({.nonfinite = NonFinite::skip});
  EXPECT_EQ(one.step(kInf), 1.0f);
  EXPECT_EQ(one.step(3.0f), 0.75f);
}

TEST(Adagrad, CoupledDecayEntersTheSum) {
  Adagrad rule = kExact;
  rule.weight_decay = 1.5;
  OneElement<Adagrad> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.625f);  // as with a gradient of 3
  EXPECT_EQ(one.state("sum"), 9.0f);
}

TEST(Adagrad, ZeroGradientsMoveNothingUnlessEpsIsZero) {
  EXPECT_EQ(OneElement<Adagrad>(Adagrad{}, 1.0f).step(0.0f), 1.0f);
  EXPECT_TRUE(std::isnan(OneElement<Adagrad>({.eps = 0.0}, 1.0f).step(0.0f)));
}

TEST(Adagrad, GradientWhoseSquareOverflowsStopsTheParameter) {
  OneElement<Adagrad> one(kExact, 1.0f);
  EXPECT_EQ(one.step(1e20f), 1.0f);
  EXPECT_EQ(one.state("sum"), kInf);
  EXPECT_EQ(one.step(1.0f), 1.0f);
}

TEST(Adagrad, InfinityAndNaNReachSumAndParameter) {
  for (const float gradient : {kInf, kNaN}) {
    OneElement<Adagrad> one(kExact, 1.0f);
    EXPECT_TRUE(std::isnan(one.step(gradient)));
    EXPECT_FALSE(std::isfinite(one.state("sum")));
    EXPECT_TRUE(std::isnan(one.step(1.0f)));
  }
}

TEST(Adagrad, SumStaysFloat32InEveryFormat) {
  for (const FormatCase& format : all_format_cases()) {
    const FormatModel model(format, Device::cpu(), {40});
    Optimizer optimizer(Adagrad{}, model.parameters(),
                        {.storage = format.low(), .float32_storage = format.wide()});
    EXPECT_EQ(optimizer.state("t0", "sum").dtype, DType::float32) << format.name;
  }
}

}  // namespace
}  // namespace onepass::test
