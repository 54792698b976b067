// remainder8_test.cpp - a 16-bit parameter and its 8-bit remainder hold the nearest 24-bit number, within the
// documented error bound.
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
  static constexpr int kBits = 16, kSmallest = -142;  ///< |error| <= 2^-kBits |x|, or 2^kSmallest.
  static constexpr std::uint16_t kNaN = 0x7fc0;
};
struct Float16Case {
  using Codec = storage::Float16Remainder8;
  static constexpr Format kElement = reference::kFloat16, kWhole = reference::kFloat24;
  static constexpr int kBits = 19, kSmallest = -33;
  static constexpr std::uint16_t kNaN = 0x7e00;
};

template <class Case>
class Remainder8 : public testing::Test {
 protected:
  struct Pair {
    explicit Pair(float x) { Case::Codec::encode(x, element, remainder); }
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

  static void expect_nearest(float x) {
    const Pair pair(x);
    const std::uint32_t expected = reference::pattern_of(Case::kWhole, double{x});
    ASSERT_TRUE(same_bits(static_cast<float>(reference::value_of(Case::kWhole, expected)), pair.restored()))
        << shown(x) << " became " << shown(pair.restored());
    if (std::isinf(pair.restored())) return;
    const double bound =
        std::max(std::ldexp(std::fabs(double{x}), -Case::kBits), std::ldexp(1.0, Case::kSmallest));
    ASSERT_LE(std::fabs(double{pair.restored()} - double{x}), bound) << shown(x);
    // The element is rounded from the 24 bits, with ties away from zero.
    ASSERT_EQ(pair.element,
              reference::pattern_of(Case::kElement, double{pair.restored()}, reference::Ties::away))
        << shown(x);
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
      const typename TestFixture::Pair again(TypeParam::Codec::decode(static_cast<std::uint16_t>(element),
                                                                      static_cast<std::uint8_t>(remainder)));
      ASSERT_EQ(again.element, element) << remainder;
      ASSERT_EQ(again.remainder, remainder) << element;
    }
  }
}

TYPED_TEST(Remainder8, RestoresTheNearest24BitNumberWithinTheBound) {
  around_every_value(TypeParam::kElement, [](float x) { TestFixture::expect_nearest(x); });
  for (std::uint64_t key = 0; key < 2'000'000; ++key) {
    if (const float x = any_float(key); !std::isnan(x)) TestFixture::expect_nearest(x);
    // Magnitudes from 2^-38 to 2^18 cover the range of float16, with both of its ends.
    const double magnitude = std::ldexp(1.0 + uniform(key), static_cast<int>(mix(key) % 56) - 38);
    TestFixture::expect_nearest(static_cast<float>((mix(key) & 1) != 0 ? magnitude : -magnitude));
  }
}

TYPED_TEST(Remainder8, InfinityStaysAndEveryNaNBecomesTheCanonicalNaN) {
  EXPECT_EQ(typename TestFixture::Pair(kInf).restored(), kInf);
  EXPECT_EQ(typename TestFixture::Pair(-kInf).restored(), -kInf);
  for (const float nan : nans()) {
    const typename TestFixture::Pair pair(nan);
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
