// activation_test.cpp - compares tanh and sigmoid with float64, and checks all derivatives.
#include "model/activation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace train {
namespace {

using Limits = std::numeric_limits<float>;

/// Returns the distance of `got` from `wanted` in units of the spacing of floats near `wanted`.
double ulps(float got, double wanted) {
  const float size = std::abs(static_cast<float>(wanted));
  const double step =
      static_cast<double>(std::nextafter(size, Limits::infinity())) - static_cast<double>(size);
  return std::abs(static_cast<double>(got) - wanted) / step;
}

/// Calls `work` with about 1.3 million floats of every size and both signs.
template <class Work>
void over_all_sizes(Work work) {
  for (std::uint32_t bits = 0; bits < 0xfffff000u; bits += 3203) {
    const float x = std::bit_cast<float>(bits);
    if (std::isfinite(x)) work(x);
  }
}

TEST(Activation, TanhAndSigmoidAreWithin051Ulp) {
  double tanh_worst = 0.0;
  double sigmoid_worst = 0.0;
  over_all_sizes([&](float x) {
    const auto wide = static_cast<double>(x);
    tanh_worst = std::max(tanh_worst, ulps(activation::tanh(x), std::tanh(wide)));
    sigmoid_worst = std::max(sigmoid_worst, ulps(activation::sigmoid(x), 1.0 / (1.0 + std::exp(-wide))));
  });
  EXPECT_LE(tanh_worst, 0.51);
  EXPECT_LE(sigmoid_worst, 0.51);
}

TEST(Activation, TanhIsOddAndKeepsTheSignOfZero) {
  over_all_sizes([](float x) { ASSERT_EQ(activation::tanh(-x), -activation::tanh(x)) << x; });
  EXPECT_TRUE(std::signbit(activation::tanh(-0.0f)));
  EXPECT_EQ(activation::tanh(1e-42f), 1e-42f);
}

TEST(Activation, InfinityGivesTheLimitAndNaNStaysNaN) {
  constexpr float kInfinity = Limits::infinity();
  EXPECT_EQ(activation::tanh(kInfinity), 1.0f);
  EXPECT_EQ(activation::tanh(-kInfinity), -1.0f);
  EXPECT_EQ(activation::sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(activation::sigmoid(-kInfinity), 0.0f);
  EXPECT_EQ(activation::relu(-kInfinity), 0.0f);
  for (const float nan : {Limits::quiet_NaN(), -Limits::quiet_NaN(), std::bit_cast<float>(0x7fffffffu)}) {
    EXPECT_TRUE(std::isnan(activation::tanh(nan)));
    EXPECT_TRUE(std::isnan(activation::sigmoid(nan)));
    EXPECT_TRUE(std::isnan(activation::relu(nan)));
  }
}

TEST(Activation, BackwardIsTheSlopeOfForward) {
  for (const ActivationKind& kind : kActivations) {
    with_activation(kind.activation, [&]<Activation kActivation> {
      for (float x = -9.0f; x < 9.0f; x += 0.0371f) {
        const float y = activation::forward<kActivation>(x);
        const auto wide = static_cast<double>(x);
        double slope = x > 0.0f ? 1.0 : 0.0;
        if (kActivation == Activation::tanh) slope = 1.0 / (std::cosh(wide) * std::cosh(wide));
        if (kActivation == Activation::sigmoid) slope = 1.0 / (2.0 + std::exp(wide) + std::exp(-wide));
        // The error of y, up to 3e-8, is multiplied by 3 * 2; three roundings add up to 1.8e-7 each.
        EXPECT_NEAR(activation::backward<kActivation>(3.0f, y), 3.0 * slope, 8e-7) << kind.name << " " << x;
      }
    });
  }
}

}  // namespace
}  // namespace train
