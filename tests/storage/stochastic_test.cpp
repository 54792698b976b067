// stochastic_test.cpp - stochastic rounding to 16 bits is unbiased, over all random bits and in samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "storage/floats.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

using reference::Format;

struct BFloat16Case {
  using Codec = storage::BFloat16;
  static constexpr Format kFormat = reference::kBFloat16;
};
struct Float16Case {
  using Codec = storage::Float16;
  static constexpr Format kFormat = reference::kFloat16;
};

template <class Case>
class Stochastic : public testing::Test {
 protected:
  using Codec = typename Case::Codec;

  static double largest() { return reference::value_of(Case::kFormat, Case::kFormat.infinity() - 1); }

  /// Counts which of the 65,536 random values round a finite |x| <= largest() up. Every other value must
  /// round it down.
  static int ups(float x) {
    const double unit = reference::spacing_at(Case::kFormat, double{x});
    const double low = std::floor(std::fabs(double{x}) / unit) * unit;
    int count = 0;
    for (std::uint32_t random = 0; random < 65536; ++random) {
      const double y = Codec::decode(Codec::encode_stochastic(x, random));
      const bool up = std::fabs(y) > low;
      EXPECT_EQ(std::fabs(y), up ? low + unit : low) << shown(x);
      EXPECT_EQ(std::signbit(y), std::signbit(x)) << shown(x);
      count += up ? 1 : 0;
    }
    return count;
  }

  /// Position of x between its two neighbours, in 65,536ths of their distance, rounded with ties to even.
  static int way(float x) {
    const double steps = std::fabs(double{x}) / reference::spacing_at(Case::kFormat, double{x});
    return static_cast<int>(std::nearbyint(65536.0 * (steps - std::floor(steps))));
  }

  /// Numbers of both signs and all exponents, the float below largest(), and float16's denormals.
  static std::vector<float> numbers() {
    std::vector<float> drawn;
    for (int exponent = -149; exponent < 128; exponent += 3) {
      const auto x =
          static_cast<float>(std::ldexp(1.0 + uniform(static_cast<std::uint64_t>(exponent + 200)), exponent));
      if (std::fabs(double{x}) < largest()) drawn.push_back(exponent % 2 == 0 ? x : -x);
    }
    drawn.push_back(std::nextafter(static_cast<float>(largest()), 0.0f));
    for (int exponent = -27; exponent < -12; ++exponent) {  // float16's denormals
      drawn.push_back(static_cast<float>(
          std::ldexp(1.0 + uniform(static_cast<std::uint64_t>(exponent + 900)), exponent)));
    }
    return drawn;
  }
};

using Cases = testing::Types<BFloat16Case, Float16Case>;
TYPED_TEST_SUITE(Stochastic, Cases);

TYPED_TEST(Stochastic, RoundsUpInProportionToThePositionBetweenNeighbours) {
  for (const float x : TestFixture::numbers()) {
    EXPECT_EQ(TestFixture::ups(x), TestFixture::way(x)) << shown(x);
  }
}

TYPED_TEST(Stochastic, ValuesOfTheFormatStay) {
  using Codec = typename TypeParam::Codec;
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    if ((pattern & 0x7fffu) > TypeParam::kFormat.infinity()) continue;
    const float x = Codec::decode(static_cast<std::uint16_t>(pattern));
    for (const std::uint32_t random : {0u, 1u, 0x7fffu, 0x8000u, 0xfff8u, 0xffffu}) {
      ASSERT_EQ(Codec::encode_stochastic(x, random), pattern) << random;
    }
  }
}

TYPED_TEST(Stochastic, UsesOnlyTheLower16RandomBits) {
  using Codec = typename TypeParam::Codec;
  for (std::uint64_t key = 0; key < 20'000; ++key) {
    const auto random = static_cast<std::uint32_t>(mix(key + 7));
    const float x = any_float(key);
    ASSERT_EQ(Codec::encode_stochastic(x, random), Codec::encode_stochastic(x, random & 0xffffu)) << shown(x);
  }
}

TYPED_TEST(Stochastic, RoundsToNearestBeyondTheLargestValue) {
  using Codec = typename TypeParam::Codec;
  const auto largest = static_cast<float>(TestFixture::largest());
  const double half = 0.5 * reference::spacing_at(TypeParam::kFormat, TestFixture::largest());
  const auto limit = static_cast<float>(TestFixture::largest() + half);
  const float next = std::nextafter(largest, kInf), before = std::nextafter(limit, 0.0f);
  for (const float x : {largest, next, before, limit, std::nextafter(limit, kInf), kInf}) {
    for (std::uint32_t random = 0; random < 65536; random += 5) {
      ASSERT_EQ(Codec::encode_stochastic(x, random), Codec::encode(x)) << shown(x);
      ASSERT_EQ(Codec::encode_stochastic(-x, random), Codec::encode(-x)) << shown(x);
    }
  }
}

/// n roundings of one x go up k times. k is binomial with p = the position of x between its neighbours, so
/// its standard deviation is sqrt(n p (1 - p)). A correct rounding is 5 deviations off once in 1.7 million
/// tries. The random numbers are fixed, so the result of this test never changes.
TYPED_TEST(Stochastic, MeanOfManyRoundingsIsTheValue) {
  using Codec = typename TypeParam::Codec;
  constexpr int kDraws = 200'000;
  for (std::uint64_t number = 0; number < 20; ++number) {
    const auto x = static_cast<float>(std::ldexp(1.0 + uniform(number), static_cast<int>(number) - 14));
    const double unit = reference::spacing_at(TypeParam::kFormat, double{x});
    const double low = std::floor(double{x} / unit) * unit;
    double sum = 0.0;
    for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
      const auto random = static_cast<std::uint32_t>(mix(number << 32 | draw));
      sum += (Codec::decode(Codec::encode_stochastic(x, random)) - low) / unit;
    }
    const double p = (double{x} - low) / unit;
    EXPECT_NEAR(sum, kDraws * p, 5.0 * std::sqrt(kDraws * p * (1.0 - p))) << shown(x);
  }
}

}  // namespace
}  // namespace onepass::test
