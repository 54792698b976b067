// remainder8_test.cpp - a 16-bit parameter and its 8-bit remainder hold one of the two 24-bit numbers next to
// x, with the mean x.
#include <gtest/gtest.h>

#include "onepass/storage/remainder8.hpp"
#include "storage/floats.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

using reference::Format;

struct BFloat16Case {
  using Codec = storage::BFloat16Remainder8;
  static constexpr Format kElement = reference::kBFloat16, kWhole = reference::kBFloat24;
  static constexpr int kBits = 15, kSmallest = -141;  ///< |error| < 2^-kBits |x|, or 2^kSmallest.
  static constexpr std::uint16_t kNaN = 0x7fc0;
};
struct Float16Case {
  using Codec = storage::Float16Remainder8;
  static constexpr Format kElement = reference::kFloat16, kWhole = reference::kFloat24;
  static constexpr int kBits = 18, kSmallest = -32;
  static constexpr std::uint16_t kNaN = 0x7e00;
};

template <class Case>
class Remainder8 : public testing::Test {
 protected:
  struct Pair {
    Pair(float x, std::uint32_t random) { Case::Codec::encode_stochastic(x, element, remainder, random); }
    [[nodiscard]] float restored() const { return Case::Codec::decode(element, remainder); }

    std::uint16_t element = 0;
    std::uint8_t remainder = 0;
  };

  /// Returns the 24 bits of a pair as the codec defines them, or a number below 0 for a pair that encode()
  /// never makes.
  static std::int32_t whole(std::uint32_t element, std::uint32_t remainder) {
    const auto magnitude = static_cast<std::int32_t>((element & 0x7fffu) << 8 | remainder);
    return remainder < 128 ? magnitude : magnitude - 256;
  }

  static double largest() { return reference::value_of(Case::kWhole, Case::kWhole.infinity() - 1); }

  /// Expects one of the two neighbours of a finite x. Returns whether it is the one away from 0.
  static bool expect_neighbour(float x, std::uint32_t random) {
    const Pair pair(x, random);
    const double unit = reference::spacing_at(Case::kWhole, double{x});
    const double low = std::floor(std::fabs(double{x}) / unit) * unit, y = double{pair.restored()};
    const bool up = std::fabs(y) > low;
    const double high = low + unit > largest() ? double{kInf} : low + unit;
    EXPECT_EQ(std::fabs(y), up ? high : std::min(low, largest())) << shown(x);
    EXPECT_EQ(std::signbit(y), std::signbit(x)) << shown(x);
    if (std::isinf(y)) return up;
    const double bound =
        std::max(std::ldexp(std::fabs(double{x}), -Case::kBits), std::ldexp(1.0, Case::kSmallest));
    EXPECT_LT(std::fabs(y - double{x}), bound) << shown(x);
    // The element is rounded from the 24 bits, with ties away from zero.
    EXPECT_EQ(pair.element, reference::pattern_of(Case::kElement, y, reference::Ties::away)) << shown(x);
    return up;
  }
};

using Cases = testing::Types<BFloat16Case, Float16Case>;
TYPED_TEST_SUITE(Remainder8, Cases);

TYPED_TEST(Remainder8, EveryPairDecodesToIts24Bits) {
  for (std::uint32_t element = 0; element < 65536; ++element) {
    for (std::uint32_t remainder = 0; remainder < 256; ++remainder) {
      const std::int32_t whole = std::max(TestFixture::whole(element, remainder), 0);
      const std::uint32_t pattern = static_cast<std::uint32_t>(whole) | (element & 0x8000u) << 8;
      const auto expected = static_cast<float>(reference::value_of(TypeParam::kWhole, pattern));
      const float actual =
          TypeParam::Codec::decode(static_cast<std::uint16_t>(element), static_cast<std::uint8_t>(remainder));
      ASSERT_TRUE(same_bits(expected, actual)) << element << ", " << remainder << ": " << shown(actual);
    }
  }
}

TYPED_TEST(Remainder8, EveryPairThatEncodeMakesSurvivesARoundTrip) {
  const auto infinity = static_cast<std::int32_t>(TypeParam::kWhole.infinity());
  for (std::uint32_t element = 0; element < 65536; ++element) {
    for (std::uint32_t remainder = 0; remainder < 256; ++remainder) {
      const std::int32_t whole = TestFixture::whole(element, remainder);
      if (whole < 0 || whole > infinity) continue;
      const float x =
          TypeParam::Codec::decode(static_cast<std::uint16_t>(element), static_cast<std::uint8_t>(remainder));
      const typename TestFixture::Pair again(x, (element * 40503u + remainder * 257u) & 0xffffu);
      ASSERT_EQ(again.element, element) << remainder;
      ASSERT_EQ(again.remainder, remainder) << element;
    }
  }
}

TYPED_TEST(Remainder8, RestoresANeighbourOfEveryNumberWithinTheBound) {
  const auto expect = [](float x, std::uint64_t key) {
    const float size = std::fabs(x);
    if (size <= TestFixture::largest())
      TestFixture::expect_neighbour(x, static_cast<std::uint32_t>(mix(key)));
  };
  std::uint64_t count = 0;
  around_every_value(TypeParam::kElement, [&](float x) { expect(x, ++count); });
  for (std::uint64_t key = 0; key < 1'000'000; ++key) {
    expect(any_float(key), key + 7);
    // Magnitudes from 2^-38 to 2^18 cover the range of float16, with both of its ends.
    const double magnitude = std::ldexp(1.0 + uniform(key), static_cast<int>(mix(key) % 56) - 38);
    expect(static_cast<float>((mix(key) & 1) != 0 ? magnitude : -magnitude), key + 9);
  }
}

// The codecs use 5 to 8 of the 16 bits for most numbers, and a float32 has no more than these below the last
// place: the share of the noise that rounds up is exact. Below float16's smallest normal number a float32 has
// more, and the share is off by up to half of 2^-8.
TYPED_TEST(Remainder8, RoundsUpInProportionToThePositionBetweenNeighbours) {
  for (int exponent = -149; exponent < 128; exponent += 2) {
    const auto x =
        static_cast<float>(std::ldexp(1.0 + uniform(static_cast<std::uint64_t>(exponent + 200)), exponent));
    if (std::fabs(double{x}) >= TestFixture::largest()) continue;
    int ups = 0;
    for (std::uint32_t random = 0; random < 65536; ++random) ups += TestFixture::expect_neighbour(x, random);
    const double steps = double{x} / reference::spacing_at(TypeParam::kWhole, double{x});
    EXPECT_NEAR(ups, 65536.0 * (steps - std::floor(steps)), 128.0) << shown(x);
  }
}

TYPED_TEST(Remainder8, InfinityStaysAndEveryNaNBecomesTheCanonicalNaN) {
  for (const std::uint32_t random : {0u, 0x8000u, 0xffffu}) {
    EXPECT_EQ(typename TestFixture::Pair(kInf, random).restored(), kInf);
    EXPECT_EQ(typename TestFixture::Pair(-kInf, random).restored(), -kInf);
  }
  for (const float nan : nans()) {
    const typename TestFixture::Pair pair(nan, 0xffffu);
    EXPECT_EQ(pair.element, TypeParam::kNaN) << shown(nan);
    EXPECT_EQ(pair.remainder, 0) << shown(nan);
    EXPECT_TRUE(std::isnan(pair.restored()));
  }
}

/// Models a caller that modified a parameter without resetting its remainder.
TYPED_TEST(Remainder8, StaleRemainderMovesAParameterByAtMostHalfAnUlp) {
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const double value = reference::value_of(TypeParam::kElement, pattern);
    if (!std::isfinite(value)) continue;
    const double half = 0.5 * reference::spacing_at(TypeParam::kElement, value);
    for (const std::uint32_t remainder : {0u, 1u, 0x7fu, 0x80u, 0x81u, 0xffu}) {
      const float x =
          TypeParam::Codec::decode(static_cast<std::uint16_t>(pattern), static_cast<std::uint8_t>(remainder));
      ASSERT_LE(std::fabs(double{x} - value), half) << pattern << ", " << remainder;
    }
  }
}

}  // namespace
}  // namespace onepass::test
