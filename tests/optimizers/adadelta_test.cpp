// adadelta_test.cpp - Adadelta gives answers worked out by hand; conformance.cpp compares it with its
// reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// eps is large enough to show that both roots hold it.
constexpr Adadelta kExact{.lr = 0.5, .rho = 0.75, .eps = 1.0};

// square_avg = 0.25 * 12 = 3; d = sqrt(0 + 1) / sqrt(3 + 1) * sqrt(12).
TEST(Adadelta, EpsIsInsideBothRoots) {
  OneElement<Adadelta> one(kExact, 1.0f);
  const auto gradient = static_cast<float>(std::sqrt(12.0));
  EXPECT_LE(ulp_distance(one.step(gradient), static_cast<float>(1.0 - 0.5 * std::sqrt(3.0))), 4);
  EXPECT_LE(ulp_distance(one.state("square_avg"), 3.0f), 1);
}

// d = 2 * 1 / sqrt(0.25 * 4 + 1); acc_delta = 0.25 * d^2 = 0.5, without lr.
TEST(Adadelta, StepsAreAveragedBeforeTheRateScalesThem) {
  for (const double lr : {0.5, 4.0}) {
    Adadelta rule = kExact;
    rule.lr = lr;
    OneElement<Adadelta> one(rule);
    one.step(2.0f);
    EXPECT_LE(ulp_distance(one.state("acc_delta"), 0.5f), 4);
  }
}

// Step 2 has g = 4: square_avg = 0.75 + 4 = 4.75, and acc_delta is still 0.5.
TEST(Adadelta, StepIsAsLongAsThoseBeforeIt) {
  OneElement<Adadelta> one(kExact);
  const double before = one.step(2.0f);
  const double d = std::sqrt(0.5 + 1.0) / std::sqrt(4.75 + 1.0) * 4.0;
  EXPECT_LE(ulp_distance(one.step(4.0f), static_cast<float>(before - 0.5 * d)), 4);
  EXPECT_LE(ulp_distance(one.state("acc_delta"), static_cast<float>(0.75 * 0.5 + 0.25 * d * d)), 4);
}

TEST(Adadelta, FirstStepIsShortAndIndependentOfTheGradient) {
  const double wanted = std::sqrt(1e-6) / std::sqrt(1.0 - 0.9);
  for (const float gradient : {10.0f, -1e4f, 1e15f}) {
    EXPECT_NEAR(std::fabs(OneElement<Adadelta>(Adadelta{}).step(gradient)), wanted, 1e-6 * wanted)
        << gradient;
  }
}

TEST(Adadelta, WithoutEpsNoStepLeavesZero) {
  OneElement<Adadelta> one({.eps = 0.0}, 1.0f);
  EXPECT_EQ(one.step(2.0f), 1.0f);
  EXPECT_EQ(one.step(-3.0f), 1.0f);
  EXPECT_EQ(one.state("acc_delta"), 0.0f);
}

TEST(Adadelta, CoupledDecayPassesThroughTheAverages) {
  Adadelta rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<Adadelta> one(rule, 2.0f), other(kExact, 2.0f);
  EXPECT_EQ(one.step(0.0f), other.step(2.0f));
  EXPECT_EQ(one.state("square_avg"), 1.0f);
}

TEST(Adadelta, LateParameterStartsWithShortSteps) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  const float after_one = first[0];
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], after_one);
}

TEST(Adadelta, GradientWhoseSquareOverflowsMovesNothingAndThenGivesNaN) {
  OneElement<Adadelta> one(Adadelta{}, 1.0f);
  EXPECT_EQ(one.step(1e20f), 1.0f);
  EXPECT_EQ(one.state("square_avg"), kInf);
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
}

TEST(Adadelta, InfinityAndNaNReachStatesAndParameter) {
  for (const float gradient : {kInf, kNaN}) {
    OneElement<Adadelta> one(Adadelta{}, 1.0f);
    EXPECT_TRUE(std::isnan(one.step(gradient)));
    EXPECT_FALSE(std::isfinite(one.state("square_avg")));
    EXPECT_TRUE(std::isnan(one.state("acc_delta")));
  }
}

// Where a narrow square_avg is too small, a step is too long, and acc_delta makes the next ones longer. With
// 8 bits, elements of different sizes in a block were soon a hundred times too fast.
TEST(Adadelta, StepsDoNotGrowInAnyFormat) {
  constexpr std::size_t kCount = 640;
  const auto length_in = [](const FormatCase& format) {
    const FormatModel model(format, Device::cpu(), {std::int64_t{kCount}});
    model.value(0).write(std::vector<float>(kCount, 0.0f));
    Optimizer optimizer(Adadelta{.rho = 0.95}, model.parameters(),
                        {.storage = format.low(), .float32_storage = format.wide(), .seed = 3});
    std::vector<float> gradient(kCount);
    for (std::uint64_t step = 0; step < 600; ++step) {
      for (std::size_t i = 0; i < kCount; ++i) {
        const double sum = uniform(7 * (1000 * i + step)) + uniform(7 * (1000 * i + step) + 1);
        gradient[i] = static_cast<float>((sum - 1.0) * std::exp2(6 * uniform(i) - 6));
      }
      model.grad(0).write(gradient);
      optimizer.step();
    }
    double squares = 0;
    const SavedParameter saved = optimizer.state_dict().parameters[0];
    for (const float one : decoded_state(state_of(saved, "acc_delta"), kCount)) squares += double{one};
    return std::sqrt(squares / kCount);
  };
  const double wanted = length_in(format_case("float32"));
  for (const FormatCase& format : all_format_cases()) {
    EXPECT_NEAR(length_in(format), wanted, 0.1 * wanted) << format.name;
  }
}

}  // namespace
}  // namespace onepass::test
