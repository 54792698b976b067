// convert_test.cpp - tests cvt: ranges, NaN, rounding modes, small formats.
#include <gtest/gtest.h>

#include <cmath>

#include "instructions/rounding.hpp"
#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

const std::uint64_t kNan32 = 0x7fc00000;
const std::uint64_t kNan64 = 0x7ff8000000000000;

TEST(Convert, FloatToIntegerClampsToTheRange) {
  EXPECT_EQ(evaluate32("cvt.rzi.s32.f32 %d, %a;", {bits(3e9f)}), 0x7fffffffu);
  EXPECT_EQ(evaluate32("cvt.rzi.s32.f32 %d, %a;", {bits(-3e9f)}), 0x80000000u);
  EXPECT_EQ(evaluate32("cvt.rzi.u32.f32 %d, %a;", {bits(-1.0f)}), 0u);
  EXPECT_EQ(evaluate32("cvt.rzi.u32.f32 %d, %a;", {bits(INFINITY)}), 0xffffffffu);
  EXPECT_EQ(evaluate("cvt.rzi.s64.f64 %d, %a;", {bits(1e300)}), 0x7fffffffffffffffu);
  EXPECT_EQ(evaluate("cvt.rzi.u64.f32 %d, %a;", {bits(0x1p63f)}), 1ull << 63);
  EXPECT_EQ(evaluate("cvt.rzi.u8.f32 %d, %a;", {bits(300.0f)}), 255u);
}

TEST(Convert, NanToIntegerIsZeroOrTheTopBit) {
  EXPECT_EQ(evaluate32("cvt.rzi.s32.f32 %d, %a;", {kNan32}), 0u);
  EXPECT_EQ(evaluate("cvt.rzi.s64.f32 %d, %a;", {kNan32}), 1ull << 63);
  EXPECT_EQ(evaluate32("cvt.rzi.s32.f64 %d, %a;", {kNan64}), 0x80000000u);
  EXPECT_EQ(evaluate("cvt.rzi.u64.f64 %d, %a;", {kNan64}), 1ull << 63);
}

TEST(Convert, FloatToIntegerUsesTheRoundingMode) {
  EXPECT_EQ(evaluate32("cvt.rni.s32.f32 %d, %a;", {bits(2.5f)}), 2u);
  EXPECT_EQ(evaluate32("cvt.rni.s32.f32 %d, %a;", {bits(3.5f)}), 4u);
  EXPECT_EQ(evaluate32("cvt.rmi.s32.f32 %d, %a;", {bits(-2.5f)}), 0xfffffffdu);
  EXPECT_EQ(evaluate32("cvt.rpi.s32.f32 %d, %a;", {bits(2.1f)}), 3u);
  EXPECT_EQ(evaluate("cvt.rzi.f64.f64 %d, %a;", {bits(-2.9)}), bits(-2.0));
  EXPECT_EQ(evaluate32("cvt.rmi.f32.f32 %d, %a;", {bits(-0.5f)}), bits(-1.0f));
}

TEST(Convert, IntegerToFloatRoundsOnce) {
  EXPECT_EQ(evaluate32("cvt.rn.f32.s32 %d, %a;", {0x7fffffff}), bits(0x1p31f));
  EXPECT_EQ(evaluate32("cvt.rz.f32.u32 %d, %a;", {0xffffffff}), bits(4294967040.0f));
  EXPECT_EQ(evaluate32("cvt.rn.f32.u64 %d, %a;", {~0ull}), bits(0x1p64f));
  EXPECT_EQ(evaluate("cvt.rn.f64.s64 %d, %a;", {~0ull}), bits(-1.0));
  EXPECT_EQ(evaluate("cvt.rm.f64.u64 %d, %a;", {~0ull}), bits(std::nextafter(0x1p64, 0.0)));
}

TEST(Convert, NarrowingFloatsUsesTheRoundingMode) {
  const double x = 1.0 + 0x1p-30;
  EXPECT_EQ(evaluate32("cvt.rn.f32.f64 %d, %a;", {bits(x)}), bits(1.0f));
  EXPECT_EQ(evaluate32("cvt.rp.f32.f64 %d, %a;", {bits(x)}), bits(std::nextafter(1.0f, 2.0f)));
  EXPECT_EQ(evaluate32("cvt.rn.f32.f64 %d, %a;", {kNan64}), 0x7fffffffu);
  EXPECT_EQ(evaluate("cvt.f64.f32 %d, %a;", {bits(0.1f)}), bits(static_cast<double>(0.1f)));
}

TEST(Convert, IntegersExtendTruncateAndSaturate) {
  EXPECT_EQ(evaluate("cvt.s64.s32 %d, %a;", {0xffffffff}), ~0ull);
  EXPECT_EQ(evaluate("cvt.u64.u32 %d, %a;", {0xffffffffffffffff}), 0xffffffffu);
  EXPECT_EQ(evaluate("cvt.u16.u32 %d, %a;", {0x12345678}), 0x5678u);
  EXPECT_EQ(evaluate32("cvt.sat.u8.s32 %d, %a;", {0xffffffff}), 0u);
  EXPECT_EQ(evaluate32("cvt.sat.s8.s32 %d, %a;", {1000}), 127u);
}

TEST(Convert, FloatToBfloatRoundsToNearestEvenAndTowardZero) {
  EXPECT_EQ(evaluate("cvt.rn.bf16.f32 %d, %a;", {0x3f808000}), 0x3f80u);
  EXPECT_EQ(evaluate("cvt.rn.bf16.f32 %d, %a;", {0x3f818000}), 0x3f82u);
  EXPECT_EQ(evaluate("cvt.rn.bf16.f32 %d, %a;", {0x3f808001}), 0x3f81u);
  EXPECT_EQ(evaluate("cvt.rz.bf16.f32 %d, %a;", {0x3f80ffff}), 0x3f80u);
  EXPECT_EQ(evaluate("cvt.rn.bf16.f32 %d, %a;", {0x7f7fffff}), 0x7f80u);
  EXPECT_EQ(evaluate("cvt.rn.bf16.f32 %d, %a;", {0xff800001}), 0x7fffu);
  EXPECT_EQ(evaluate("cvt.rn.relu.bf16.f32 %d, %a;", {bits(-1.0f)}), 0u);
  EXPECT_EQ(evaluate32("cvt.rn.bf16x2.f32 %d, %a, %b;", {bits(1.0f), bits(2.0f)}), 0x3f804000u);
}

TEST(Convert, FloatToHalfHandlesSubnormalsAndOverflow) {
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %d, %a;", {bits(65519.0f)}), 0x7bffu);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %d, %a;", {bits(65520.0f)}), 0x7c00u);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %d, %a;", {bits(0x1p-24f)}), 1u);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %d, %a;", {bits(0x1p-25f)}), 0u);
  EXPECT_EQ(evaluate32("cvt.f32.f16 %d, %a;", {0x0001}), bits(0x1p-24f));
  EXPECT_EQ(evaluate32("cvt.f32.bf16 %d, %a;", {0xc000}), bits(-2.0f));
}

TEST(Convert, EverySmallNumberSurvivesARoundTripThroughFloat) {
  for (std::uint32_t k = 0; k < 0x10000; ++k) {
    const auto small = static_cast<std::uint16_t>(k);
    if ((k & 0x7c00) != 0x7c00 || (k & 0x3ff) == 0) {
      ASSERT_EQ(to_small(half_to_float(small), kHalfFormat, kNearest, 0), small);
    }
    if ((k & 0x7f80) != 0x7f80 || (k & 0x7f) == 0) {
      ASSERT_EQ(to_small(bfloat_to_float(small), kBfloatFormat, kNearest, 0), small);
    }
  }
}

}  // namespace
}  // namespace cuda_emulator
