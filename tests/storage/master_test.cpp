// master_test.cpp - WithMaster and SplitBFloat16 restore every float32 parameter exactly from two streams.
#include <gtest/gtest.h>

#include "onepass/storage/float16.hpp"
#include "onepass/storage/master_float32.hpp"
#include "onepass/storage/split_bfloat16.hpp"
#include "storage/floats.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

using storage::SplitBFloat16;

struct Split {
  explicit Split(float x) { SplitBFloat16::encode(x, element, remainder); }
  [[nodiscard]] float restored() const { return SplitBFloat16::decode(element, remainder); }

  std::uint16_t element = 0, remainder = 0;
};

template <class Low>
void expect_master(float x) {
  std::uint16_t element = 0;
  float master = 0.0f;
  storage::WithMaster<Low>::encode(x, element, master);
  EXPECT_TRUE(same_bits(x, master)) << shown(x);
  EXPECT_EQ(element, Low::encode(x)) << shown(x);
  EXPECT_TRUE(same_bits(x, storage::WithMaster<Low>::decode(0x1234, master))) << shown(x);
}

TEST(WithMaster, MasterIsTheNumberAndTheElementIsItsNearest16BitValue) {
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    expect_master<storage::BFloat16>(any_float(key));
    expect_master<storage::Float16>(any_float(key));
  }
}

/// Bits that a round trip changes in any of the 65,536 floats with these upper 16 bits. Every NaN is expected
/// to come back as 0x7fc00000.
std::uint32_t wrong_bits(std::uint32_t high) {
  std::uint32_t wrong = 0;
  for (std::uint32_t low = 0; low < 65536; ++low) {
    const std::uint32_t bits = high << 16 | low;
    std::uint16_t element = 0, remainder = 0;
    SplitBFloat16::encode(from_bits(bits), element, remainder);
    const bool nan = storage::below(0x7f800000u, bits & 0x7fffffffu);
    const std::uint32_t expected = storage::select(nan, 0x7fc00000u, bits);
    wrong |= to_bits(SplitBFloat16::decode(element, remainder)) ^ expected;
  }
  return wrong;
}

TEST(SplitBFloat16, RestoresEveryFloat) {
  for (std::uint32_t high = 0; high < 65536; ++high) {
    ASSERT_EQ(wrong_bits(high), 0u) << "upper half " << high;
  }
}

TEST(SplitBFloat16, ElementIsTheNearestWithTiesAwayFromZero) {
  const auto check = [](float x) {
    const std::uint32_t expected = reference::pattern_of(reference::kBFloat16, x, reference::Ties::away);
    ASSERT_EQ(Split(x).element, expected) << shown(x);
  };
  around_every_value(reference::kBFloat16, check);
  for (std::uint64_t key = 0; key < 1'000'000; ++key) {
    if (const float x = any_float(key); !std::isnan(x)) check(x);
  }
}

TEST(SplitBFloat16, RemainderIsTheLower16Bits) {
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    if (const float x = any_float(key); !std::isnan(x)) {
      ASSERT_EQ(Split(x).remainder, to_bits(x) & 0xffffu) << shown(x);
    }
  }
}

TEST(SplitBFloat16, EveryNaNBecomesTheCanonicalNaN) {
  for (const float nan : nans()) {
    const Split split(nan);
    EXPECT_EQ(split.element, 0x7fc0) << shown(nan);
    EXPECT_EQ(split.remainder, 0) << shown(nan);
  }
}

/// Models a caller that modified a parameter without resetting its remainder.
TEST(SplitBFloat16, StaleRemainderMovesAParameterByAtMostHalfAnUlp) {
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const double value = reference::value_of(reference::kBFloat16, pattern);
    if (!std::isfinite(value)) continue;
    // Below a power of two the spacing is half as large. The bound is half of the larger spacing, above it.
    const double half = 0.5 * reference::spacing_at(reference::kBFloat16, value);
    for (const std::uint32_t remainder : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float x =
          SplitBFloat16::decode(static_cast<std::uint16_t>(pattern), static_cast<std::uint16_t>(remainder));
      ASSERT_LE(std::fabs(double{x} - value), half) << pattern << ", " << remainder;
    }
  }
}

}  // namespace
}  // namespace onepass::test
