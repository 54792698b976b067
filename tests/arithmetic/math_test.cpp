// math_test.cpp - exp, log, pow, sinpi and cospi keep their error bounds against long double, also at the
// ends of their ranges.
#include "onepass/arithmetic/math.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kSmallest = std::numeric_limits<double>::denorm_min();
constexpr double kSmallestNormal = std::numeric_limits<double>::min();
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr long double kPi = 3.141592653589793238462643383279502884L;
constexpr std::uint64_t kCount = 200000;

/// Distance in units of the last place of `wanted`. Long double resolves 1/2048 of such a unit.
double ulps(double actual, long double wanted) {
  const int exponent = std::max(std::ilogb(wanted) - 52, -1074);
  return static_cast<double>(std::fabs(actual - wanted) / std::ldexp(1.0L, exponent));
}

double between(double low, double high, std::uint64_t key) { return low + (high - low) * uniform(key); }

/// Returns a positive number of any exponent, denormals included.
double any_positive(std::uint64_t key) {
  return std::ldexp(1.0 + uniform(2 * key), static_cast<int>(between(-1074, 1024, 2 * key + 1)));
}

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

TEST(Math, FmaRoundsOnce) {
  const double a = 1.0 + 0x1p-27;
  EXPECT_EQ(lane::fma(a, a, -(1.0 + 0x1p-26)), 0x1p-54);
}

TEST(Math, ExpIsWithinOneUlp) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    for (const double x : {between(-708.0, 709.7, key), between(-1.0, 1.0, key), between(-1e-9, 1e-9, key)}) {
      ASSERT_LE(ulps(lane::exp(x), std::exp(static_cast<long double>(x))), 0.8) << x;
    }
  }
}

TEST(Math, ExpOfLargeNegativeNumbersIsWithinOneDenormal) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    const double x = between(-746.0, -708.0, key);
    ASSERT_LE(ulps(lane::exp(x), std::exp(static_cast<long double>(x))), 1.0) << x;
  }
}

TEST(Math, ExpIsExactAtZeroAndAtTheEndsOfItsRange) {
  EXPECT_EQ(lane::exp(0.0), 1.0);
  EXPECT_EQ(lane::exp(-0.0), 1.0);
  EXPECT_EQ(lane::exp(kSmallest), 1.0);
  EXPECT_EQ(lane::exp(-kSmallest), 1.0);
  EXPECT_EQ(lane::exp(1.0), 0x1.5bf0a8b145769p+1);
  EXPECT_EQ(lane::exp(0x1.62e42fefa39efp+9), 0x1.fffffffffff2ap+1023);  // the largest with a finite result
  EXPECT_EQ(lane::exp(0x1.62e42fefa39f0p+9), kInf);
  EXPECT_EQ(lane::exp(-0x1.74910d52d3051p+9), kSmallest);  // the smallest with a positive result
  EXPECT_EQ(lane::exp(-0x1.74910d52d3052p+9), 0.0);
  EXPECT_EQ(lane::exp(kLargest), kInf);
  EXPECT_EQ(lane::exp(kInf), kInf);
  EXPECT_TRUE(same(lane::exp(-kLargest), 0.0));
  EXPECT_TRUE(same(lane::exp(-kInf), 0.0));
  EXPECT_TRUE(std::isnan(lane::exp(kNaN)));
}

TEST(Math, LogIsWithinOneUlp) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    const double near_one = 1.0 + std::ldexp(uniform(key) - 0.5, -static_cast<int>(key % 50));
    for (const double x : {any_positive(key), uniform(key), between(0.5, 2.0, key), near_one}) {
      if (x == 1.0 || x == 0.0) continue;
      ASSERT_LE(ulps(lane::log(x), std::log(static_cast<long double>(x))), 0.9) << x;
    }
  }
}

TEST(Math, LogIsExactAtOneAndAtTheEndsOfItsRange) {
  EXPECT_TRUE(same(lane::log(1.0), 0.0));
  EXPECT_EQ(lane::log(2.0), 0x1.62e42fefa39efp-1);
  EXPECT_EQ(lane::log(kSmallest), -0x1.74385446d71c3p+9);
  EXPECT_EQ(lane::log(kSmallestNormal), -0x1.6232bdd7abcd2p+9);
  EXPECT_EQ(lane::log(kLargest), 0x1.62e42fefa39efp+9);
  EXPECT_EQ(lane::log(0.0), -kInf);
  EXPECT_EQ(lane::log(-0.0), -kInf);
  EXPECT_EQ(lane::log(kInf), kInf);
  for (const double x : {-kSmallest, -1.0, -kInf, kNaN}) EXPECT_TRUE(std::isnan(lane::log(x))) << x;
}

TEST(Math, PowIsWithinTwoUlps) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    for (const double base : {any_positive(key), between(0.0, 2.0, key), between(0.7, 1.5, key)}) {
      const double across = between(-707.0, 709.0, key + 1) / std::log(base);
      for (const double exponent : {across, between(-3.0, 3.0, key + 2), 0.5, 0.9, 2.0}) {
        const long double wanted =
            std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
        if (!(wanted > kSmallestNormal && wanted < kLargest)) continue;
        ASSERT_LE(ulps(lane::pow(base, exponent), wanted), 1.5) << base << " ^ " << exponent;
      }
    }
  }
}

TEST(Math, TinyPowersAreWithinOneDenormal) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    const double base = between(0.0, 2.0, key);
    const double exponent = between(-745.0, -708.0, key + 1) / std::log(base);
    const long double wanted = std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
    ASSERT_LE(std::fabs(lane::pow(base, exponent) - wanted), kSmallest + wanted * 0x1p-52L)
        << base << " ^ " << exponent;
  }
}

TEST(Math, PowHandlesZeroOneInfinityNaNAndOverflow) {
  EXPECT_EQ(lane::pow(0.25, 0.5), 0.5);
  EXPECT_EQ(lane::pow(3.0, 1.0), 3.0);
  for (const double x : {0.0, 0.5, 1.0, kInf, kNaN, -1.0}) EXPECT_EQ(lane::pow(x, 0.0), 1.0) << x;
  for (const double y : {-kInf, -2.0, 0.5, kInf, kNaN}) EXPECT_EQ(lane::pow(1.0, y), 1.0) << y;
  EXPECT_TRUE(same(lane::pow(0.0, 0.5), 0.0));
  EXPECT_TRUE(same(lane::pow(-0.0, 3.0), 0.0));  // bases below 0 are unsupported; -0 counts as 0
  EXPECT_EQ(lane::pow(0.0, -0.5), kInf);
  EXPECT_EQ(lane::pow(kInf, 0.5), kInf);
  EXPECT_EQ(lane::pow(kInf, -0.5), 0.0);
  EXPECT_EQ(lane::pow(0.5, kInf), 0.0);
  EXPECT_EQ(lane::pow(0.5, -kInf), kInf);
  EXPECT_EQ(lane::pow(2.0, kInf), kInf);
  EXPECT_EQ(lane::pow(2.0, -kInf), 0.0);
  EXPECT_EQ(lane::pow(2.0, 1024.0), kInf);
  EXPECT_EQ(lane::pow(2.0, 1023.0), 0x1p1023);
  EXPECT_EQ(lane::pow(2.0, -1074.0), kSmallest);
  EXPECT_EQ(lane::pow(kSmallest, 1.0), kSmallest);
  EXPECT_EQ(lane::pow(kLargest, 1e300), kInf);
  EXPECT_EQ(lane::pow(0.5, 1e300), 0.0);
  EXPECT_EQ(lane::pow(1.0 + 0x1p-52, kLargest), kInf);
  for (const double x : {-kSmallest, -2.0, -kInf, kNaN}) EXPECT_TRUE(std::isnan(lane::pow(x, 2.0))) << x;
  EXPECT_TRUE(std::isnan(lane::pow(0.5, kNaN)));
}

/// Returns pi times the remainder of x by the period 2, exact to the last place of long double.
long double angle(double x) { return kPi * std::fmod(static_cast<long double>(x), 2.0L); }

TEST(Math, SinPiAndCosPiAreWithinOneUlp) {
  for (std::uint64_t key = 0; key < kCount; ++key) {
    for (const double x : {between(-0.25, 0.25, key), between(-2.0, 2.0, key), between(0.0, 1e5, key),
                           std::ldexp(1.0 + uniform(key), -static_cast<int>(key % 1000))}) {
      const auto [sin, cos] = lane::sincospi(x);
      // Near the zeros of sin and cos, the reference's pi has too few digits.
      const long double wanted_sin = std::sin(angle(x)), wanted_cos = std::cos(angle(x));
      if (std::fabs(x) < 0.25 || std::fabs(wanted_sin) > 0.1) {
        ASSERT_LE(ulps(sin, wanted_sin), 0.75) << x;
      }
      if (std::fabs(wanted_cos) > 0.1) {
        ASSERT_LE(ulps(cos, wanted_cos), 0.75) << x;
      }
      ASSERT_TRUE(same(sin, lane::sinpi(x)));
      ASSERT_TRUE(same(cos, lane::cospi(x)));
    }
  }
}

TEST(Math, SinPiAndCosPiAreExactAtMultiplesOfOneHalf) {
  for (const double sign : {1.0, -1.0}) {
    for (const double turns : {0.0, 2.0, 4.0, 1e6, 0x1p51, 0x1p52, 0x1p60, 0x1p1000}) {
      EXPECT_TRUE(same(lane::sinpi(sign * turns), sign * 0.0)) << turns;
      EXPECT_EQ(lane::cospi(sign * turns), 1.0) << turns;
      if (turns > 0x1p51) continue;
      EXPECT_EQ(lane::sinpi(sign * (turns + 0.5)), sign) << turns;
      EXPECT_TRUE(same(lane::cospi(sign * (turns + 0.5)), 0.0)) << turns;
      EXPECT_TRUE(same(lane::sinpi(sign * (turns + 1.0)), sign * 0.0)) << turns;
      EXPECT_EQ(lane::cospi(sign * (turns + 1.0)), -1.0) << turns;
      EXPECT_EQ(lane::sinpi(sign * (turns + 1.5)), -sign) << turns;
      EXPECT_TRUE(same(lane::cospi(sign * (turns + 1.5)), 0.0)) << turns;
    }
    EXPECT_EQ(lane::cospi(sign * (0x1p53 - 1.0)), -1.0);  // the largest odd double
    EXPECT_EQ(lane::cospi(sign * kLargest), 1.0);
  }
}

TEST(Math, SinPiAndCosPiNearAZeroArePiTimesTheDistance) {
  for (const double small : {0x1p-40, 1e-100, 0x1p-1000, kSmallestNormal}) {
    EXPECT_LE(ulps(lane::sinpi(small), kPi * static_cast<long double>(small)), 0.75) << small;
    EXPECT_LE(ulps(lane::sinpi(-small), -kPi * static_cast<long double>(small)), 0.75) << small;
  }
  EXPECT_LE(ulps(lane::sinpi(1.0 - 0x1p-40), kPi * 0x1p-40L), 0.75);
  EXPECT_LE(ulps(lane::cospi(0.5 + 0x1p-40), -kPi * 0x1p-40L), 0.75);
  EXPECT_EQ(lane::sinpi(kSmallest), 3 * kSmallest);
  EXPECT_EQ(lane::cospi(kSmallest), 1.0);
}

TEST(Math, SinPiAndCosPiOfNonFiniteNumbersAreNaN) {
  for (const double x : {kInf, -kInf, kNaN}) {
    EXPECT_TRUE(std::isnan(lane::sinpi(x))) << x;
    EXPECT_TRUE(std::isnan(lane::cospi(x))) << x;
  }
}

}  // namespace
}  // namespace onepass::test
