// adamax_test.cpp - Adamax gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <algorithm>
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

/// The powers of these betas are exact, and eps is large enough to show where the formula adds it.
constexpr Adamax kExact{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0};

// exp_avg = 1, corrected 2; exp_inf = 2 + 2.
TEST(Adamax, OnlyTheFirstMomentIsCorrected) {
  OneElement<Adamax> one(kExact, 1.0f);
  EXPECT_EQ(one.step(2.0f), 0.75f);
  EXPECT_EQ(one.state("exp_avg"), 1.0f);
  EXPECT_EQ(one.state("exp_inf"), 4.0f);
}

// exp_inf = max(0.75 * 4, 0.5 + 2) = 3, then max(0.75 * 3, 0.25 + 2) = 2.25. With eps outside the maximum,
// the second would be 1.5.
TEST(Adamax, NormDecaysUntilAGradientWithEpsExceedsIt) {
  OneElement<Adamax> one(kExact, 1.0f);
  one.step(2.0f);
  const double wanted = 0.75 - 0.5 / 0.75 * (0.25 / 3.0);  // exp_avg = 0.5 - 0.25
  EXPECT_LE(ulp_distance(one.step(-0.5f), static_cast<float>(wanted)), 1);
  EXPECT_EQ(one.state("exp_inf"), 3.0f);
  one.step(-0.25f);
  EXPECT_EQ(one.state("exp_inf"), 2.25f);
  one.step(-8.0f);
  EXPECT_EQ(one.state("exp_inf"), 10.0f);
}

TEST(Adamax, FirstStepMovesTheParameterByLrForAnyGradient) {
  for (const float gradient : {1e-3f, -1.0f, 1e30f}) {
    const float moved = OneElement<Adamax>({.lr = 0.5, .eps = 0.0}).step(gradient);
    EXPECT_LE(ulp_distance(moved, gradient > 0 ? -0.5f : 0.5f), 4) << gradient;
  }
}

TEST(Adamax, ZeroGradientsMoveNothingUnlessEpsIsZero) {
  EXPECT_EQ(OneElement<Adamax>(Adamax{}, 1.0f).step(0.0f), 1.0f);
  EXPECT_TRUE(std::isnan(OneElement<Adamax>({.eps = 0.0}, 1.0f).step(0.0f)));
}

TEST(Adamax, NaNWinsTheMaximum) {
  OneElement<Adamax> one(kExact, 1.0f);
  one.step(2.0f);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
  EXPECT_TRUE(std::isnan(one.state("exp_inf")));
  one.step(1.0f);
  EXPECT_TRUE(std::isnan(one.state("exp_inf")));
}

TEST(Adamax, InfiniteGradientReachesStatesAndParameter) {
  OneElement<Adamax> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(kInf)));  // Inf / Inf
  EXPECT_EQ(one.state("exp_inf"), kInf);
  one.step(0.0f);
  EXPECT_TRUE(std::isnan(one.state("exp_avg")));
}

TEST(Adamax, LateParameterIsCorrectedByItsOwnStepCount) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], 0.75f);  // as on every parameter's first step
}

TEST(Adamax, CoupledDecayPassesThroughBothStates) {
  Adamax rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<Adamax> one(rule, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.75f);  // as with a gradient of 2
  EXPECT_EQ(one.state("exp_inf"), 4.0f);
}

// One element of each block has gradients of 1, and the others 1e-4. If formats stored exp_inf itself, 8 bits
// would restore it at 1e-4, far below the error of exp_avg, and a step would be up to twenty times lr.
TEST(Adamax, StepsOfSmallElementsBesideLargeOnesStayShortInEveryFormat) {
  constexpr std::size_t kCount = 320;
  constexpr double kRate = 1e-2;
  for (const FormatCase& format : all_format_cases()) {
    const FormatModel model(format, Device::cpu(), {std::int64_t{kCount}});
    model.value(0).write(std::vector<float>(kCount, 0.0f));
    Optimizer optimizer(Adamax{.lr = kRate}, model.parameters(),
                        {.storage = format.low(), .float32_storage = format.wide()});
    std::vector<float> gradient(kCount), before(kCount, 0.0f);
    double longest = 0;
    for (std::uint64_t step = 0; step < 100; ++step) {
      for (std::size_t i = 0; i < kCount; ++i) {
        gradient[i] = (mix(1000 * i + step) % 2 == 0 ? 1.0f : -1.0f) * (i % 32 == 5 ? 1.0f : 1e-4f);
      }
      model.grad(0).write(gradient);
      optimizer.step();
      const std::vector<float> after =
          decoded_param(format, model.value(0), optimizer.state_dict().parameters[0]);
      for (std::size_t i = 0; i < kCount; ++i) {
        longest = std::max(longest, std::fabs(double{after[i]} - double{before[i]}));
      }
      before = after;
    }
    EXPECT_LE(longest, 1.5 * kRate) << format.name;
  }
}

}  // namespace
}  // namespace onepass::test
