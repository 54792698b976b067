// fans_test.cpp - fans, gains, and the bounds and standard deviations made from them match their sources.
#include "onepass/initializers/fans.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "onepass/initializers/initialize.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using namespace onepass::initializers;  // NOLINT: the names under test
using Sizes = std::vector<std::int64_t>;

constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(Fans, LinearAndConvolutionWeightsHaveTheFansOfPyTorch) {
  struct Case {
    Sizes shape;
    std::int64_t in, out;
  };
  // {64, 16, 3, 3} is a convolution of 64 channels in 4 groups: 16 inputs for each output.
  const std::vector<Case> cases{{{10, 784}, 784, 10},
                                {{1, 1}, 1, 1},
                                {{32, 16, 5}, 80, 160},
                                {{64, 3, 7, 7}, 147, 3136},
                                {{8, 4, 3, 3, 3}, 108, 216},
                                {{64, 16, 3, 3}, 144, 576},
                                {{0, 5}, 5, 0},
                                {{5, 0, 3}, 0, 15}};
  for (const Case& one : cases) {
    const Fans fans = calculate_fan_in_and_fan_out(one.shape);
    EXPECT_EQ(fans.fan_in, one.in);
    EXPECT_EQ(fans.fan_out, one.out);
    EXPECT_EQ(calculate_fan(one.shape, FanMode::fan_in), static_cast<double>(one.in));
    EXPECT_EQ(calculate_fan(one.shape, FanMode::fan_out), static_cast<double>(one.out));
    EXPECT_EQ(calculate_fan(one.shape, FanMode::fan_avg), static_cast<double>(one.in + one.out) / 2);
  }
}

TEST(Fans, ShapesNeedTwoDimensionsOfValidSizes) {
  EXPECT_TRUE(refused([] { calculate_fan_in_and_fan_out(Sizes{}); }, {"2 dimensions", "()"}));
  EXPECT_TRUE(refused([] { calculate_fan_in_and_fan_out(Sizes{7}); }, {"2 dimensions", "(7)"}));
  EXPECT_TRUE(refused([] { calculate_fan_in_and_fan_out(Sizes{3, -2}); }, {"(3, -2)", "negative"}));
  EXPECT_TRUE(refused([] { calculate_fan_in_and_fan_out(Sizes{1ll << 40, 1ll << 40}); }, {"2^63"}));
  EXPECT_TRUE(refused([] { calculate_fan(Sizes{2, 3}, static_cast<FanMode>(9)); }, {"FanMode", "9"}));
}

// Source: the numbers that torch.nn.init.calculate_gain returns in PyTorch 2.
TEST(Gain, MatchesPyTorchsTable) {
  EXPECT_EQ(calculate_gain(Nonlinearity::linear), 1.0);
  EXPECT_EQ(calculate_gain(Nonlinearity::sigmoid), 1.0);
  EXPECT_EQ(calculate_gain(Nonlinearity::tanh), 1.6666666666666667);
  EXPECT_EQ(calculate_gain(Nonlinearity::relu), 1.4142135623730951);
  EXPECT_EQ(calculate_gain(Nonlinearity::leaky_relu), 1.4141428569978354);
  EXPECT_EQ(calculate_gain(Nonlinearity::leaky_relu, 0.2), 1.3867504905630728);
  EXPECT_EQ(calculate_gain(Nonlinearity::leaky_relu, 0.0), 1.4142135623730951);
  EXPECT_EQ(calculate_gain(Nonlinearity::selu), 0.75);
}

TEST(Gain, RefusesNonFiniteSlopesAndUnknownNonlinearities) {
  EXPECT_TRUE(refused([] { calculate_gain(Nonlinearity::leaky_relu, kInf); }, {"param", "inf"}));
  EXPECT_TRUE(refused([] { calculate_gain(Nonlinearity::leaky_relu, std::nan("")); }, {"param", "nan"}));
  EXPECT_TRUE(refused([] { calculate_gain(static_cast<Nonlinearity>(77)); }, {"nonlinearity", "77"}));
}

/// Expects a symmetric uniform distribution whose bound is at most one ulp from the formula's.
void expect_bound(const Distribution& drawn, double bound) {
  ASSERT_EQ(drawn.kind, DistributionKind::uniform);
  EXPECT_LE(ulp_distance(static_cast<float>(drawn.interval.low), static_cast<float>(-bound)), 1);
  EXPECT_EQ(drawn.interval.width, -2.0 * drawn.interval.low);
  EXPECT_EQ(drawn.interval.last, std::nextafter(static_cast<float>(-drawn.interval.low), 0.0f));
}

void expect_std(const Distribution& drawn, double std) {
  ASSERT_EQ(drawn.kind, DistributionKind::normal);
  EXPECT_EQ(drawn.mean, 0.0);
  EXPECT_NEAR(drawn.std, std, 4e-16 * std);  // two roundings in another order
}

TEST(Xavier, BoundAndDeviationFollowGlorotsFormula) {
  const Sizes linear{100, 300}, convolution{64, 3, 7, 7};
  expect_bound(XavierUniform{}.distribution(linear), std::sqrt(6.0 / 400));
  expect_bound(XavierUniform{.gain = 5.0 / 3}.distribution(convolution),
               5.0 / 3 * std::sqrt(6.0 / (147 + 3136)));
  expect_std(XavierNormal{}.distribution(linear), std::sqrt(2.0 / 400));
  expect_std(XavierNormal{.gain = 0.5}.distribution(convolution), 0.5 * std::sqrt(2.0 / (147 + 3136)));
}

TEST(Kaiming, BoundAndDeviationFollowHesFormula) {
  const Sizes linear{100, 300}, convolution{64, 3, 7, 7};
  expect_bound(KaimingUniform{}.distribution(linear), std::sqrt(6.0 / 300));
  expect_std(KaimingNormal{}.distribution(linear), std::sqrt(2.0 / 300));
  expect_std(KaimingNormal{.mode = FanMode::fan_out}.distribution(convolution), std::sqrt(2.0 / 3136));
  expect_std(KaimingNormal{.mode = FanMode::fan_avg}.distribution(linear), std::sqrt(2.0 / 200));
  expect_std(KaimingNormal{.a = 0.2}.distribution(linear), std::sqrt(2.0 / (1.04 * 300)));
  expect_std(KaimingNormal{.nonlinearity = Nonlinearity::relu}.distribution(linear), std::sqrt(2.0 / 300));
  expect_std(KaimingNormal{.a = 0.2, .nonlinearity = Nonlinearity::relu}.distribution(linear),
             std::sqrt(2.0 / 300));
  expect_std(KaimingNormal{.nonlinearity = Nonlinearity::linear}.distribution(linear), std::sqrt(1.0 / 300));
  // torch.nn.Linear initializes its weight with this distribution.
  expect_bound(KaimingUniform{.a = std::sqrt(5.0)}.distribution(linear), 1.0 / std::sqrt(300.0));
}

TEST(Lecun, BoundAndDeviationGiveAVarianceOfOneOverFanIn) {
  expect_bound(LecunUniform{}.distribution(Sizes{100, 300}), std::sqrt(3.0 / 300));
  const Distribution drawn = LecunNormal{}.distribution(Sizes{100, 300});
  ASSERT_EQ(drawn.kind, DistributionKind::truncated_normal);
  EXPECT_NEAR(drawn.truncation.std, std::sqrt(1.0 / 300) / 0.87962566103423978, 1e-16);
  EXPECT_FLOAT_EQ(drawn.truncation.most, static_cast<float>(2.0 * drawn.truncation.std));
  EXPECT_EQ(drawn.truncation.least, -drawn.truncation.most);
}

// The expected shares outside and inside the bounds were computed with mpmath, to 30 digits.
TEST(TruncatedNormal, SharesMatchTheNormalDistribution) {
  struct Case {
    double a, b, below, above, inside;
  };
  const std::vector<Case> cases{
      {-2, 2, 0.0227501319481792072, 0.0227501319481792072, 0.954499736103641586},
      {-0.5, 3.5, 0.308537538725986896, 0.000232629079035525036, 0.691229832194977578},
      {4, 5, 0.999968328758166880, 2.86651571879193912e-7, 3.13845902612407273e-5},
      {-40, 1, 0.0, 0.158655253931457051, 0.841344746068542949}};
  for (const Case& one : cases) {
    const auto drawn = TruncatedNormal{.a = one.a, .b = one.b}.distribution(Sizes{1}).truncation;
    EXPECT_NEAR(drawn.below, one.below, 1e-13 * one.below);
    EXPECT_NEAR(drawn.above, one.above, 1e-13 * one.above);
    EXPECT_NEAR(drawn.inside, one.inside, 2e-13 * one.inside);
  }
}

}  // namespace
}  // namespace onepass::test
