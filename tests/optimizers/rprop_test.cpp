// rprop_test.cpp - Rprop gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/numbers/one_element.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The products of these numbers are exact in float32.
constexpr Rprop kExact{.lr = 0.5, .eta_minus = 0.5, .eta_plus = 1.5, .step_size_max = 1.0};

TEST(Rprop, StepGrowsWhileTheSignStays) {
  OneElement<Rprop> one(kExact);
  EXPECT_EQ(one.step(-1e-6f), 0.5f);
  EXPECT_EQ(one.step(-1e6f), 1.25f);  // 0.5 * 1.5
  EXPECT_EQ(one.state("step_size"), 0.75f);
  EXPECT_EQ(one.state("prev"), -1e6f);
}

// After a turn the parameter rests once, and the next step has the smaller size without another factor.
TEST(Rprop, StepShrinksWhereTheSignTurnsAndTheParameterRests) {
  OneElement<Rprop> one(kExact);
  one.step(2.0f);
  EXPECT_EQ(one.step(-3.0f), -0.5f);
  EXPECT_EQ(one.state("step_size"), 0.25f);
  EXPECT_EQ(one.state("prev"), 0.0f);
  EXPECT_EQ(one.step(-3.0f), -0.25f);
  EXPECT_EQ(one.state("step_size"), 0.25f);
  EXPECT_EQ(one.step(-3.0f), 0.125f);  // 0.25 * 1.5
}

TEST(Rprop, ZeroGradientKeepsTheStepSize) {
  OneElement<Rprop> one(kExact);
  one.step(2.0f);
  EXPECT_EQ(one.step(0.0f), -0.5f);
  EXPECT_EQ(one.step(-2.0f), 0.0f);  // prev is 0, so nothing turned
  EXPECT_EQ(one.state("step_size"), 0.5f);
}

TEST(Rprop, StepSizeStaysBetweenItsBounds) {
  OneElement<Rprop> one(kExact);
  for (int step = 0; step < 4; ++step) one.step(1.0f);
  EXPECT_EQ(one.state("step_size"), 1.0f);  // 0.5, 0.75, 1.125, ...
  OneElement<Rprop> other({.lr = 0.5, .step_size_min = 0.375});
  other.step(1.0f), other.step(-1.0f);
  EXPECT_EQ(other.state("step_size"), 0.375f);
}

TEST(Rprop, FirstStepSizeIsBoundedToo) {
  EXPECT_EQ(OneElement<Rprop>({.lr = 0.5, .step_size_max = 0.25}).step(1.0f), -0.25f);
  EXPECT_EQ(OneElement<Rprop>({.lr = 0.5, .step_size_min = 0.75}).step(1.0f), -0.75f);
}

TEST(Rprop, LaterRatesDoNotCount) {
  OneElement<Rprop> one(kExact);
  one.step(1.0f);
  one.optimizer().set_lr(0.0);
  EXPECT_EQ(one.step(1.0f), -1.25f);
}

TEST(Rprop, LateParameterStartsWithThePresentRate) {
  std::vector<float> first{0.0f}, late{0.0f}, gradient{1.0f}, late_gradient{1.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.set_lr(0.25);
  optimizer.step();
  EXPECT_EQ(first[0], -1.25f);
  EXPECT_EQ(late[0], -0.25f);
}

// A documented deviation: the product of these gradients is 0 in float32, and torch.optim.Rprop would keep
// the step size.
TEST(Rprop, GradientsWhoseProductUnderflowsCountByTheirSigns) {
  OneElement<Rprop> one(kExact);
  one.step(1e-30f);
  EXPECT_EQ(one.step(1e-30f), -1.25f);
  EXPECT_EQ(one.step(-1e-30f), -1.25f);
  EXPECT_EQ(one.state("step_size"), 0.375f);
}

TEST(Rprop, CoupledDecayTurnsTheSign) {
  Rprop rule = kExact;
  rule.weight_decay = 1.0;
  OneElement<Rprop> one(rule, 2.0f);
  EXPECT_EQ(one.step(-1.0f), 1.5f);  // sign(-1 + 2)
  EXPECT_EQ(one.step(-2.0f), 1.5f);  // -2 + 1.5 turns
}

TEST(Rprop, InfinityCountsByItsSign) {
  OneElement<Rprop> one(kExact);
  EXPECT_EQ(one.step(-kInf), 0.5f);
  EXPECT_EQ(one.step(-kInf), 1.25f);
  EXPECT_EQ(one.step(1.0f), 1.25f);
  EXPECT_EQ(one.step(1.0f), 0.875f);  // 0.75 * 0.5
}

TEST(Rprop, NaNReachesPrevAndParameterAndSparesTheStepSize) {
  OneElement<Rprop> one(kExact);
  one.step(1.0f);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
  EXPECT_TRUE(std::isnan(one.state("prev")));
  EXPECT_TRUE(std::isnan(one.step(1.0f)));
  EXPECT_EQ(one.state("step_size"), 0.5f);
}

TEST(Rprop, FactorsThatDoNotShrinkOrGrowAreRefused) {
  EXPECT_TRUE(refused([] { Rule(Rprop{.eta_minus = 1.0}).check(); }, {"Rprop.eta_minus", "[0, 1)"}));
  EXPECT_TRUE(refused([] { Rule(Rprop{.eta_plus = 1.0}).check(); }, {"Rprop.eta_plus", "above 1"}));
  EXPECT_TRUE(refused([] { Rule(Rprop{.step_size_min = 1.0, .step_size_max = 0.5}).check(); },
                      {"Rprop", "step_size_min", "step_size_max"}));
  EXPECT_NO_THROW(Rule(Rprop{.step_size_min = 0.5, .step_size_max = 0.5}).check());
}

// The gradients of a block lie 30 binary orders apart. A quantised prev would be 0 for the small ones, whose
// step sizes would never change.
TEST(Rprop, StepSizesAreThoseOfFloat32InEveryFormat) {
  constexpr std::size_t kCount = 64;
  const auto sizes_in = [](const FormatCase& format) {
    const FormatModel model(format, Device::cpu(), {std::int64_t{kCount}});
    Optimizer optimizer(Rprop{}, model.parameters(),
                        {.storage = format.low(), .float32_storage = format.wide()});
    std::vector<float> gradient(kCount);
    for (std::uint64_t step = 0; step < 20; ++step) {
      for (std::size_t i = 0; i < kCount; ++i) {
        const bool negative = mix(100 * i + step) % 3 == 0;
        gradient[i] = std::ldexp(negative ? -1.0f : 1.0f, -static_cast<int>(i % 15));
      }
      model.grad(0).write(gradient);
      optimizer.step();
    }
    return decoded_state(state_of(optimizer.state_dict().parameters[0], "step_size"), kCount);
  };
  const std::vector<float> wanted = sizes_in(format_case("float32"));
  for (const FormatCase& format : all_format_cases()) EXPECT_EQ(sizes_in(format), wanted) << format.name;
}

}  // namespace
}  // namespace onepass::test
