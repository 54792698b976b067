// transforms_test.cpp - uniform, normal and truncated normal numbers match their formulas in long double.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "onepass/random/normal.hpp"
#include "onepass/random/truncated_normal.hpp"
#include "onepass/random/uniform.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

using Long = long double;

/// Returns the ends of the range, every eighth of a turn with its neighbours, and 3,000 words in between.
std::vector<std::uint32_t> awkward_words() {
  std::vector<std::uint32_t> words;
  for (const std::uint32_t corner :
       {0u, 0x20000000u, 0x40000000u, 0x60000000u, 0x80000000u, 0xa0000000u, 0xc0000000u, 0xe0000000u}) {
    for (const std::uint32_t offset : {0u, 1u, 2u, 255u, 256u, ~0u, ~1u}) words.push_back(corner + offset);
  }
  for (std::uint64_t key = 0; key < 3000; ++key) words.push_back(static_cast<std::uint32_t>(mix(key)));
  return words;
}

/// Distance in ulps of double at the magnitude of `wanted`.
double ulps(double actual, Long wanted) {
  const double spacing = std::ldexp(1.0, std::ilogb(static_cast<double>(wanted)) - 52);
  return static_cast<double>(std::fabs(static_cast<Long>(actual) - wanted)) / spacing;
}

TEST(Uniform, TakesTheUpperTwentyFourBitsOfAWord) {
  EXPECT_TRUE(same_bits(random::uniform(0u), 0.0f));
  EXPECT_TRUE(same_bits(random::uniform(255u), 0.0f));
  EXPECT_TRUE(same_bits(random::uniform(256u), 0x1p-24f));
  EXPECT_TRUE(same_bits(random::uniform(0x80000000u), 0.5f));
  EXPECT_TRUE(same_bits(random::uniform(~0u), 1.0f - 0x1p-24f));
}

TEST(Uniform, OpenIntervalIsExactAndSymmetric) {
  EXPECT_EQ(random::uniform_open(0u), 0x1p-33);
  EXPECT_EQ(random::uniform_open(~0u), 1.0 - 0x1p-33);
  for (const std::uint32_t word : awkward_words()) {
    ASSERT_EQ(random::exact(word), static_cast<double>(word));
    ASSERT_EQ(random::uniform_open(word), (static_cast<double>(word) + 0.5) * 0x1p-32);
    ASSERT_EQ(random::uniform_open(~word), 1.0 - random::uniform_open(word));
  }
}

TEST(Normal, LogarithmIsWithinOneUlp) {
  for (const std::uint32_t word : awkward_words()) {
    const double x = random::uniform_open(word);
    ASSERT_LE(ulps(random::log_of_share(x), std::log(static_cast<Long>(x))), 1.0) << x;
  }
  EXPECT_EQ(random::log_of_share(1.0), 0.0);
}

// On the range that Box-Muller needs, the branch-free logarithm gives the same value as the general one.
TEST(Normal, LogarithmEqualsLaneLog) {
  for (const std::uint32_t word : awkward_words()) {
    const double x = random::uniform_open(word);
    ASSERT_EQ(random::log_of_share(x), lane::log(x)) << x;
  }
}

TEST(Normal, SineAndCosineAreWithinOneUlp) {
  for (const std::uint32_t word : awkward_words()) {
    const double turn = random::uniform_open(word);
    // The test reduces the angle by hand, because sin(2 pi turn) of the C library would use a 64-bit pi.
    const auto quarter = std::lround(4.0 * turn);
    const Long rest =
        2 * std::numbers::pi_v<Long> * (static_cast<Long>(turn) - static_cast<Long>(quarter) / 4);
    const Long s = std::sin(rest), c = std::cos(rest);
    const Long sines[] = {s, c, -s, -c, s}, cosines[] = {c, -s, -c, s, c};
    const lane::SinCos actual = random::sincos_of_turn(turn);
    ASSERT_LE(ulps(actual.sin, sines[quarter]), 1.0) << turn;
    ASSERT_LE(ulps(actual.cos, cosines[quarter]), 1.0) << turn;
  }
}

// In ulp: the logarithm is off by 1 and doubled exactly. Its root passes on 1/2 and adds 1/2. The sine adds 1
// and the product 1/2. The sum is below 4.
TEST(Normal, PairIsWithinFourUlpOfBoxMuller) {
  const std::vector<std::uint32_t> words = awkward_words();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t a = words[i], b = words[(7 * i + 3) % words.size()];
    const Long u = (static_cast<Long>(a) + 0.5L) / 0x1p32L;
    const Long turn = (static_cast<Long>(b) + 0.5L) / 0x1p32L;
    const auto quarter = std::lround(4 * turn);
    const Long rest = 2 * std::numbers::pi_v<Long> * (turn - static_cast<Long>(quarter) / 4);
    const Long s = std::sin(rest), c = std::cos(rest), radius = std::sqrt(-2 * std::log(u));
    const Long sines[] = {s, c, -s, -c, s}, cosines[] = {c, -s, -c, s, c};
    const random::NormalPair pair = random::normal_pair(a, b);
    ASSERT_LE(ulps(pair.first, radius * cosines[quarter]), 4.0) << a << ", " << b;
    ASSERT_LE(ulps(pair.second, radius * sines[quarter]), 4.0) << a << ", " << b;
  }
}

TEST(Normal, PairsAreFiniteAtTheEndsOfTheRange) {
  for (const std::uint32_t a : {0u, ~0u}) {
    for (const std::uint32_t b : {0u, ~0u, 0x80000000u}) {
      const random::NormalPair pair = random::normal_pair(a, b);
      EXPECT_LT(std::fabs(pair.first), 6.77);
      EXPECT_LT(std::fabs(pair.second), 6.77);
    }
  }
}

/// Share of the standard normal distribution above x.
Long upper_share(Long x) { return std::erfc(x / std::numbers::sqrt2_v<Long>) / 2; }

// An error dx of the quantile changes the share by density(x) dx, and density(x) < share(x) (x + 1). So with
// dx < 2^-50 x the relative error of the share is below (x + 1)^2 2^-50.
TEST(TruncatedNormal, QuantileIsTheInverseOfTheShare) {
  std::vector<double> shares{0.5,     0.49999, 0.075, 0x1.3333333333333p-4, 0x1.3333333333334p-4,
                             1.4e-11, 1.3e-11};
  for (double p = 0.5; p > 1e-280; p *= 0.7) shares.push_back(p);
  for (const double p : shares) {
    const Long x = random::upper_quantile(p);
    const Long bound = (x + 1) * (x + 1) * 0x1p-50L;
    ASSERT_LE(std::fabs(upper_share(x) / static_cast<Long>(p) - 1), bound) << p;
  }
  EXPECT_EQ(random::upper_quantile(0.5), 0.0);
}

}  // namespace
}  // namespace onepass::test
