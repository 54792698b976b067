// lane_test.cpp - the lane:: operations that rules are written in round as documented and propagate NaN.
#include "onepass/arithmetic/lane.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Lane, FmaRoundsOnce) {
  const float a = 1.0f + 0x1p-12f;
  // a * a = 1 + 2^-11 + 2^-24. Rounding the product on its own would lose the last term.
  EXPECT_EQ(lane::fma(a, a, -(1.0f + 0x1p-11f)), 0x1p-24f);
  // The product alone would overflow.
  EXPECT_EQ(lane::fma(0x1p127f, 2.0f, -0x1p127f), 0x1p127f);
}

TEST(Lane, MaxIsNaNIfEitherArgumentIs) {
  EXPECT_TRUE(std::isnan(lane::max(kNaN, 1.0f)));
  EXPECT_TRUE(std::isnan(lane::max(1.0f, kNaN)));
  EXPECT_TRUE(std::isnan(lane::max(kNaN, kInf)));
  EXPECT_TRUE(std::isnan(lane::max(kInf, kNaN)));
  EXPECT_EQ(lane::max(1.0f, 2.0f), 2.0f);
  EXPECT_EQ(lane::max(2.0f, 1.0f), 2.0f);
  EXPECT_EQ(lane::max(-kInf, -1.0f), -1.0f);
}

TEST(Lane, SqrtIsCorrectlyRounded) {
  for (std::uint64_t key = 0; key < 10000; ++key) {
    const float x = std::fabs(heavy_tailed(key));
    ASSERT_TRUE(same_bits(lane::sqrt(x), static_cast<float>(std::sqrt(static_cast<long double>(x)))))
        << shown(x);
  }
  EXPECT_TRUE(same_bits(lane::sqrt(-0.0f), -0.0f));
  EXPECT_TRUE(std::isnan(lane::sqrt(-1.0f)));
}

TEST(Lane, LerpBetweenEqualValuesReturnsThatValue) {
  for (std::uint64_t key = 0; key < 20000; ++key) {
    const float value = heavy_tailed(key);
    if (std::fabs(value) < std::numeric_limits<float>::min()) continue;
    for (const float weight : {0.1f, 0.01f, 0.001f, 0.5f, 1.0f, static_cast<float>(uniform(key))}) {
      ASSERT_TRUE(same_bits(lane::lerp(value, value, weight), value))
          << shown(value) << ", " << shown(weight);
    }
  }
}

// Each of the two fma operations rounds a value between the terms, by at most half an ulp.
TEST(Lane, LerpIsWithinTwoRoundingsOfTheWeightedSum) {
  for (std::uint64_t key = 0; key < 20000; ++key) {
    const float a = heavy_tailed(3 * key), b = heavy_tailed(3 * key + 1);
    const auto weight = static_cast<float>(uniform(key));
    const double wanted = (1.0 - static_cast<double>(weight)) * a + static_cast<double>(weight) * b;
    const double terms = std::max(std::fabs(a), std::fabs(b));
    ASSERT_LE(std::fabs(lane::lerp(a, b, weight) - wanted), ulp_of(terms)) << shown(a) << ", " << shown(b);
  }
  EXPECT_EQ(lane::lerp(3.0f, 5.0f, 0.0f), 3.0f);
  EXPECT_EQ(lane::lerp(3.0f, 5.0f, 1.0f), 5.0f);
}

TEST(Lane, LerpFromAnInfiniteAverageIsNaN) {
  EXPECT_EQ(lane::lerp(1.0f, kInf, 0.1f), kInf);
  EXPECT_TRUE(std::isnan(lane::lerp(kInf, 1.0f, 0.1f)));
}

// Each squaring doubles the relative error and adds half an ulp, so base^(2^k) is off by 2^k - 1 half ulps.
// The product over the exponent's bits is off by at most `exponent` half ulps.
TEST(Lane, PowerIsWithinExponentTimesHalfAnUlp) {
  for (const double base : {0.5, 0.9, 0.99, 0.999, 0.9999, 0.999999, 1.0}) {
    for (const long long exponent :
         {1ll, 2ll, 3ll, 7ll, 10ll, 100ll, 1000ll, 12345ll, 1000000ll, 1ll << 33}) {
      const auto wanted = std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
      const long double bound = wanted * static_cast<long double>(exponent) * 0x1p-53L +
                                static_cast<long double>(std::numeric_limits<double>::min());
      ASSERT_LE(std::fabs(static_cast<long double>(lane::power(base, exponent)) - wanted), bound)
          << base << "^" << exponent;
    }
  }
}

TEST(Lane, PowerIsExactForExponentsZeroAndOneAndForTheLargestExponent) {
  EXPECT_EQ(lane::power(0.0, 0), 1.0);
  EXPECT_EQ(lane::power(0.0, 1), 0.0);
  EXPECT_EQ(lane::power(0.9, 0), 1.0);
  EXPECT_EQ(lane::power(0.9, 1), 0.9);
  EXPECT_EQ(lane::power(0.999, std::numeric_limits<long long>::max()), 0.0);
  EXPECT_EQ(lane::power(1.0, std::numeric_limits<long long>::max()), 1.0);
}

}  // namespace
}  // namespace onepass::test
