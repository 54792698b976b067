// nadam_test.cpp - NAdam gives answers worked out by hand; conformance.cpp compares it with its reference.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/one_element.hpp"

namespace onepass::test {
namespace {

/// Without momentum_decay the momentum stays beta1 / 2 = 0.25.
constexpr NAdam kExact{.lr = 0.25, .beta1 = 0.5, .beta2 = 0.75, .eps = 2.0, .momentum_decay = 0.0};

double product(OneElement<NAdam>& one) {
  return *static_cast<const double*>(one.optimizer().state("p", "mu_product").data);
}

// m = 1, v_hat = 4; m_hat = 0.25 * 1 / (1 - 0.0625) + 0.75 * 2 / 0.75, the denominator is 4.
TEST(NAdam, FirstStepHasBothParts) {
  OneElement<NAdam> one(kExact, 1.0f);
  const double wanted = 1.0 - 0.25 * (0.25 / 0.9375 + 2.0) / 4.0;
  EXPECT_LE(ulp_distance(one.step(2.0f), static_cast<float>(wanted)), 1);
  EXPECT_EQ(product(one), 0.25);
}

TEST(NAdam, ProductOfMomentaIsCarried) {
  OneElement<NAdam> one(kExact, 1.0f);
  const float first = one.step(2.0f);
  // m = 0.5, v = 0.75; m_hat = 0.25 * 0.5 / (1 - 1/64)
  const double wanted = first - 0.25 * (0.125 / (1.0 - 0.015625)) / (std::sqrt(0.75 / 0.4375) + 2.0);
  EXPECT_LE(ulp_distance(one.step(0.0f), static_cast<float>(wanted)), 1);
  EXPECT_EQ(product(one), 0.0625);
}

TEST(NAdam, MomentumRisesToBeta1) {
  const NAdam rule{.beta1 = 0.8, .momentum_decay = 1.0};
  EXPECT_DOUBLE_EQ(rule.momentum(1), 0.8 * (1.0 - 0.48));
  EXPECT_NEAR(rule.momentum(1000), 0.8, 1e-12);
}

TEST(NAdam, ChangedBeta1EntersTheProductFromThenOn) {
  OneElement<NAdam> one(kExact, 1.0f);
  one.step(1.0f);
  NAdam changed = kExact;
  changed.beta1 = 0.8;
  one.optimizer().set_rule(changed);
  one.step(1.0f);
  EXPECT_EQ(product(one), 0.25 * (0.8 * 0.5));
}

TEST(NAdam, LateParameterHasItsOwnProduct) {
  std::vector<float> first{1.0f}, late{1.0f}, gradient{2.0f}, late_gradient{2.0f};
  Optimizer optimizer{kExact, std::vector<Parameter>{{"first", std::span(first), std::span(gradient)}}};
  optimizer.step();
  const float once = first[0];
  optimizer.add_parameters(std::vector<Parameter>{{"late", std::span(late), std::span(late_gradient)}});
  optimizer.step();
  EXPECT_EQ(late[0], once);
}

TEST(NAdam, NaNReachesTheParameter) {
  OneElement<NAdam> one(kExact, 1.0f);
  EXPECT_TRUE(std::isnan(one.step(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace onepass::test
