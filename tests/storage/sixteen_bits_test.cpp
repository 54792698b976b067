// sixteen_bits_test.cpp - bfloat16 and float16 decode every pattern and round every number as float64 does.
#include <gtest/gtest.h>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "storage/floats.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

struct BFloat16Case {
  using Codec = storage::BFloat16;
  static constexpr reference::Format kFormat = reference::kBFloat16;
};
struct Float16Case {
  using Codec = storage::Float16;
  static constexpr reference::Format kFormat = reference::kFloat16;
};

template <class Case>
class SixteenBits : public testing::Test {
 protected:
  using Codec = typename Case::Codec;

  /// The pattern nearest to x, computed in float64.
  static std::uint16_t nearest(float x) {
    return static_cast<std::uint16_t>(reference::pattern_of(Case::kFormat, double{x}));
  }
  static void expect_nearest(float x) { ASSERT_EQ(Codec::encode(x), nearest(x)) << shown(x); }
};

using Cases = testing::Types<BFloat16Case, Float16Case>;
TYPED_TEST_SUITE(SixteenBits, Cases);

TYPED_TEST(SixteenBits, EveryPatternDecodesToItsValue) {
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const float actual = TypeParam::Codec::decode(static_cast<std::uint16_t>(pattern));
    const auto expected = static_cast<float>(reference::value_of(TypeParam::kFormat, pattern));
    ASSERT_TRUE(same_bits(expected, actual)) << pattern << ": " << shown(actual);
  }
}

TYPED_TEST(SixteenBits, EveryPatternButNaNSurvivesARoundTrip) {
  using Codec = typename TypeParam::Codec;
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const bool nan = (pattern & 0x7fffu) > TypeParam::kFormat.infinity();
    const std::uint16_t again = Codec::encode(Codec::decode(static_cast<std::uint16_t>(pattern)));
    ASSERT_EQ(again, nan ? Codec::kNaN : pattern);
  }
}

TYPED_TEST(SixteenBits, RoundsToNearestTiesToEven) {
  around_every_value(TypeParam::kFormat, [](float x) { TestFixture::expect_nearest(x); });
  for (std::uint64_t key = 0; key < 2'000'000; ++key) {
    if (const float x = any_float(key); !std::isnan(x)) TestFixture::expect_nearest(x);
  }
}

TYPED_TEST(SixteenBits, RoundsCorrectlyAtTheLargestAndTheSmallestValues) {
  using Codec = typename TypeParam::Codec;
  const auto infinity = static_cast<std::uint16_t>(TypeParam::kFormat.infinity());
  const double largest = reference::value_of(TypeParam::kFormat, infinity - 1u);
  const auto limit = static_cast<float>(largest + 0.5 * reference::spacing_at(TypeParam::kFormat, largest));
  EXPECT_EQ(Codec::encode(std::nextafter(limit, 0.0f)), infinity - 1);
  EXPECT_EQ(Codec::encode(limit), infinity);
  EXPECT_EQ(Codec::encode(std::numeric_limits<float>::max()), infinity);
  EXPECT_EQ(Codec::encode(kInf), infinity);
  EXPECT_EQ(Codec::encode(-kInf), infinity | 0x8000);
  const auto smallest = static_cast<float>(reference::value_of(TypeParam::kFormat, 1));
  EXPECT_EQ(Codec::encode(smallest), 1);
  EXPECT_EQ(Codec::encode(0.5f * smallest), 0);
  EXPECT_EQ(Codec::encode(std::nextafter(0.5f * smallest, 1.0f)), 1);
  EXPECT_EQ(Codec::encode(-0.0f), 0x8000);
  EXPECT_EQ(Codec::encode(-std::numeric_limits<float>::denorm_min()), 0x8000);
}

TYPED_TEST(SixteenBits, EveryNaNBecomesTheCanonicalNaN) {
  using Codec = typename TypeParam::Codec;
  for (const float nan : nans()) {
    EXPECT_EQ(Codec::encode(nan), Codec::kNaN) << shown(nan);
    for (const std::uint32_t random : {0u, 1u, 0x8000u, 0xffffu}) {
      EXPECT_EQ(Codec::encode_stochastic(nan, random), Codec::kNaN) << shown(nan);
    }
  }
  EXPECT_TRUE(std::isnan(Codec::decode(Codec::kNaN)));
}

}  // namespace
}  // namespace onepass::test
