// prepare_test.cpp - prepare() forms the coefficients in double and rounds them once.
#include <gtest/gtest.h>

#include <cmath>

#include "onepass/onepass.hpp"
#include "support/numbers/rounded_once.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kSteps[] = {1, 2, 3, 10, 99, 1000, 54321, 1000000, std::int64_t{1} << 40};
constexpr double kBetas[] = {0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.999999};

template <class Rule>
void expect_adam_coefficients_rounded_once() {
  for (const double beta1 : kBetas) {
    for (const double beta2 : kBetas) {
      for (const std::int64_t step : kSteps) {
        const Rule rule{.lr = 3e-4, .beta1 = beta1, .beta2 = beta2, .eps = 1e-8};
        const auto k = rule.prepare(step);
        const auto power = static_cast<long double>(step);
        const long double correction1 = 1.0L - std::pow(static_cast<long double>(beta1), power);
        const long double correction2 = 1.0L - std::pow(static_cast<long double>(beta2), power);
        SCOPED_TRACE("betas " + std::to_string(beta1) + ", " + std::to_string(beta2) + ", step " +
                     std::to_string(step));
        ASSERT_TRUE(rounded_once(k.step_size, 3e-4 / correction1));
        ASSERT_TRUE(rounded_once(k.inverse_root, 1.0L / std::sqrt(correction2)));
        ASSERT_TRUE(rounded_once(k.one_minus_beta1, 1.0L - beta1));
        ASSERT_TRUE(rounded_once(k.one_minus_beta2, 1.0L - beta2));
        ASSERT_TRUE(rounded_once(k.eps, 1e-8));
      }
    }
  }
}

TEST(Prepare, AdamRoundsItsCoefficientsOnce) { expect_adam_coefficients_rounded_once<Adam>(); }
TEST(Prepare, AdamWRoundsItsCoefficientsOnce) { expect_adam_coefficients_rounded_once<AdamW>(); }

TEST(Prepare, SgdRoundsItsCoefficientsOnce) {
  const SGD rule{.lr = 0.1, .momentum = 0.9, .dampening = 0.999};
  const SGD::Coefficients first = rule.prepare(1), later = rule.prepare(2);
  EXPECT_TRUE(first.starts);
  EXPECT_FALSE(later.starts);
  EXPECT_TRUE(rounded_once(later.lr, 0.1));
  EXPECT_TRUE(rounded_once(later.momentum, 0.9));
  EXPECT_TRUE(rounded_once(later.one_minus_dampening, 1.0L - 0.999));
}

TEST(Prepare, RmsPropRoundsItsCoefficientsOnce) {
  for (const double alpha : kBetas) {
    const RMSProp rule{.lr = 0.003, .alpha = alpha, .eps = 1e-7, .momentum = 0.7};
    const RMSProp::Coefficients k = rule.prepare(1);
    EXPECT_TRUE(rounded_once(k.one_minus_alpha, 1.0L - alpha)) << alpha;
    EXPECT_TRUE(rounded_once(k.lr, 0.003));
    EXPECT_TRUE(rounded_once(k.momentum, 0.7));
    EXPECT_TRUE(rounded_once(k.eps_inside + k.eps_outside, 1e-7));
  }
}

TEST(Prepare, WeightDecayIsRoundedOnce) {
  for (const double lr : {1e-3, 0.1, 0.3, 0.9}) {
    for (const double weight_decay : {0.1, 0.3, 0.7, 1.1}) {
      const rule::Around around = rule::Around::prepare(AdamW{.lr = lr, .weight_decay = weight_decay}, {}, 1);
      EXPECT_TRUE(rounded_once(around.decay, static_cast<long double>(lr) * weight_decay));
      EXPECT_EQ(around.l2, 0.0f);
      EXPECT_EQ(around.grad_scale, 1.0f);
    }
  }
  const rule::Around coupled = rule::Around::prepare(Adam{.weight_decay = 0.1, .maximize = true}, {}, 1);
  EXPECT_TRUE(rounded_once(coupled.l2, 0.1));
  EXPECT_EQ(coupled.decay, 0.0f);
  EXPECT_EQ(coupled.grad_scale, -1.0f);
}

TEST(Prepare, EverySixteenthStepSettles) {
  for (std::int64_t step = 1; step <= 64; ++step) {
    const rule::Around around = rule::Around::prepare(AdamW{}, {}, step);
    EXPECT_EQ(around.settles_states != 0.0f, step % 16 == 0) << step;
    EXPECT_EQ(around.settles_param() != 0.0f, step % 16 == 0) << step;
    EXPECT_EQ(rule::Around::prepare(Adam{}, {}, step).settles_param(), 0.0f);
  }
}

TEST(Prepare, AStepNeedsOnlyTheOperationsThatItsTensorAskedFor) {
  using rule::Extras;
  const auto extras = [](const SGD& rule, const rule::GradientScale& scale) {
    return rule::Around::prepare(rule, scale, 1).extras();
  };
  EXPECT_EQ(extras({}, {}), Extras::none);
  EXPECT_EQ(extras({}, {.factor = 0.5}), Extras::scale);
  EXPECT_EQ(extras({.maximize = true}, {}), Extras::scale);
  EXPECT_EQ(extras({.weight_decay = 0.1}, {}), Extras::scale);
  EXPECT_EQ(extras({.weight_decay = 0.1, .weight_decay_mode = WeightDecay::decoupled}, {}), Extras::scale);
  EXPECT_EQ(extras({.l1 = 0.1}, {}), Extras::all);
  EXPECT_EQ(extras({}, {.limit = 1.0f}), Extras::all);
  EXPECT_EQ(extras({}, {.factor = 0x1p-130}), Extras::all);
  const auto settles = [](const SGD& rule, std::int64_t step, bool has_states) {
    return rule::Around::prepare(rule, {}, step).settles(has_states);
  };
  EXPECT_FALSE(settles({}, 15, true));
  EXPECT_TRUE(settles({}, 16, true));
  EXPECT_FALSE(settles({}, 16, false));
  EXPECT_TRUE(settles({.weight_decay = 0.1}, 16, false));
}

}  // namespace
}  // namespace onepass::test
