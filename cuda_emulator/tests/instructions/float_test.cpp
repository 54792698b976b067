// float_test.cpp - tests floating-point instructions against the values that the PTX ISA gives.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t kPtxNan = 0x7fffffff;
constexpr float kTiny = 1e-40f;  // Subnormal.

TEST(Float, EveryArithmeticNanIsThePtxNan) {
  EXPECT_EQ(evaluate32("add.rn.f32 %d, %a, %b;", {bits(kInf), bits(-kInf)}), kPtxNan);
  EXPECT_EQ(evaluate32("mul.rn.f32 %d, %a, %b;", {0xffc01234, bits(1.0f)}), kPtxNan);
  EXPECT_EQ(evaluate32("sqrt.rn.f32 %d, %a;", {bits(-1.0f)}), kPtxNan);
  EXPECT_EQ(evaluate32("div.rn.f32 %d, %a, %b;", {0, 0}), kPtxNan);
  EXPECT_EQ(evaluate32("fma.rn.f32 %d, %a, %b, %c;", {bits(kInf), 0, bits(1.0f)}), kPtxNan);
}

TEST(Float, FmaRoundsOnce) {
  const float x = 1.0f + 0x1p-12f;
  EXPECT_EQ(evaluate32("fma.rn.f32 %d, %a, %b, %c;", {bits(x), bits(x), bits(-1.0f)}),
            bits(std::fma(x, x, -1.0f)));
  EXPECT_NE(std::fma(x, x, -1.0f), x * x - 1.0f);
  const double y = 1.0 + 0x1p-30;
  EXPECT_EQ(evaluate("fma.rn.f64 %d, %a, %b, %c;", {bits(y), bits(y), bits(-1.0)}),
            bits(std::fma(y, y, -1.0)));
}

TEST(Float, DirectedModesRoundInTheirDirection) {
  const std::vector<std::uint64_t> third{bits(1.0f), bits(3.0f)};
  EXPECT_EQ(evaluate32("div.rn.f32 %d, %a, %b;", third), 0x3eaaaaabu);
  EXPECT_EQ(evaluate32("div.rz.f32 %d, %a, %b;", third), 0x3eaaaaaau);
  EXPECT_EQ(evaluate32("div.rm.f32 %d, %a, %b;", third), 0x3eaaaaaau);
  EXPECT_EQ(evaluate32("div.rp.f32 %d, %a, %b;", third), 0x3eaaaaabu);
  EXPECT_EQ(evaluate32("add.rm.f32 %d, %a, %b;", {bits(1.0f), bits(-0x1p-30f)}),
            bits(std::nextafter(1.0f, 0.0f)));
  EXPECT_EQ(evaluate32("fma.rm.f32 %d, %a, %b, %c;", {bits(0.25f), bits(252.0f), bits(12582913.0f)}),
            bits(12582976.0f));
  EXPECT_EQ(evaluate("mul.rp.f64 %d, %a, %b;", {bits(1.0 + 0x1p-52), bits(1.0 + 0x1p-52)}),
            bits(1.0 + 0x3p-52));
}

TEST(Float, SubnormalsAreKeptUnlessFlushed) {
  EXPECT_EQ(evaluate32("mul.rn.f32 %d, %a, %b;", {bits(kTiny), bits(1.0f)}), bits(kTiny));
  EXPECT_EQ(evaluate32("mul.rn.ftz.f32 %d, %a, %b;", {bits(kTiny), bits(1.0f)}), 0u);
  EXPECT_EQ(evaluate32("add.ftz.f32 %d, %a, %b;", {bits(-kTiny), bits(-kTiny)}), 0x80000000u);
}

TEST(Float, SaturationClampsToUnitIntervalAndNanToZero) {
  EXPECT_EQ(evaluate32("add.sat.f32 %d, %a, %b;", {bits(1.0f), bits(2.0f)}), bits(1.0f));
  EXPECT_EQ(evaluate32("add.sat.f32 %d, %a, %b;", {bits(1.0f), bits(-2.0f)}), 0u);
  EXPECT_EQ(evaluate32("cvt.sat.f32.f32 %d, %a;", {bits(kNan)}), 0u);
}

TEST(Float, MinimumAndMaximumDropOneNan) {
  EXPECT_EQ(evaluate32("min.f32 %d, %a, %b;", {bits(kNan), bits(2.0f)}), bits(2.0f));
  EXPECT_EQ(evaluate32("max.f32 %d, %a, %b;", {bits(2.0f), bits(kNan)}), bits(2.0f));
  EXPECT_EQ(evaluate32("max.f32 %d, %a, %b;", {bits(kNan), bits(kNan)}), kPtxNan);
  EXPECT_EQ(evaluate32("max.NaN.f32 %d, %a, %b;", {bits(2.0f), bits(kNan)}), kPtxNan);
  EXPECT_EQ(evaluate("min.f64 %d, %a, %b;", {bits(std::nan("")), bits(2.0)}), bits(2.0));
}

TEST(Float, MinusZeroIsLessThanPlusZero) {
  EXPECT_EQ(evaluate32("min.f32 %d, %a, %b;", {0, 0x80000000}), 0x80000000u);
  EXPECT_EQ(evaluate32("min.f32 %d, %a, %b;", {0x80000000, 0}), 0x80000000u);
  EXPECT_EQ(evaluate32("max.f32 %d, %a, %b;", {0, 0x80000000}), 0u);
  EXPECT_EQ(evaluate32("max.f32 %d, %a, %b;", {0x80000000, 0}), 0u);
}

TEST(Float, SignOperationsWorkOnBits) {
  EXPECT_EQ(evaluate32("neg.f32 %d, %a;", {0}), 0x80000000u);
  EXPECT_EQ(evaluate32("abs.f32 %d, %a;", {bits(-3.0f)}), bits(3.0f));
  EXPECT_EQ(evaluate32("copysign.f32 %d, %a, %b;", {bits(-1.0f), bits(3.0f)}), bits(-3.0f));
  EXPECT_EQ(evaluate("abs.f64 %d, %a;", {bits(-3.0)}), bits(3.0));
}

TEST(Float, ComparisonsWithNanAreFalseExceptTheUnorderedForms) {
  const auto compare = [](const std::string& how, std::uint64_t a, std::uint64_t b) {
    return evaluate("setp." + how + ".f32 %p, %a, %b;\nselp.u64 %d, 1, 0, %p;", {a, b});
  };
  EXPECT_EQ(compare("ne", bits(kNan), bits(1.0f)), 0u);
  EXPECT_EQ(compare("neu", bits(kNan), bits(1.0f)), 1u);
  EXPECT_EQ(compare("lt", bits(kNan), bits(1.0f)), 0u);
  EXPECT_EQ(compare("ltu", bits(kNan), bits(1.0f)), 1u);
  EXPECT_EQ(compare("gtu", bits(0.5f), bits(1.0f)), 0u);
  EXPECT_EQ(compare("equ", bits(kNan), bits(kNan)), 1u);
  EXPECT_EQ(compare("num", bits(1.0f), bits(kNan)), 0u);
  EXPECT_EQ(compare("nan", bits(1.0f), bits(kNan)), 1u);
  EXPECT_EQ(compare("eq", 0, 0x80000000), 1u);
  EXPECT_EQ(compare("ge", bits(1.0f), bits(1.0f)), 1u);
}

TEST(Float, ComparisonSetsTwoPredicatesAndCombinesAThird) {
  const std::string get = "\nselp.u64 %x, 1, 0, %p;\nselp.u64 %y, 2, 0, %q;\nadd.u64 %d, %x, %y;";
  EXPECT_EQ(evaluate("setp.lt.s32 %p|%q, %a, %b;" + get, {1, 2}), 1u);
  EXPECT_EQ(evaluate("setp.ne.u64 %p, %c, 0;\nsetp.lt.and.s32 %p|%q, %a, %b, %p;" + get, {1, 2, 0}), 0u);
  EXPECT_EQ(evaluate("setp.ne.u64 %p, %c, 0;\nsetp.lt.and.s32 %p|%q, %a, %b, !%p;" + get, {1, 2, 0}), 1u);
  EXPECT_EQ(evaluate("setp.ne.u64 %p, %c, 0;\nsetp.lt.xor.s32 %p|%q, %a, %b, %p;" + get, {1, 2, 1}), 2u);
}

TEST(Float, ComparisonOfIntegersRespectsTheSign) {
  const auto compare = [](const std::string& how) {
    return evaluate("setp." + how + " %p, %a, %b;\nselp.u64 %d, 1, 0, %p;", {0xffffffff, 1});
  };
  EXPECT_EQ(compare("lt.s32"), 1u);
  EXPECT_EQ(compare("lt.u32"), 0u);
  EXPECT_EQ(compare("hi.u32"), 1u);
  EXPECT_EQ(compare("gt.s64"), 1u);
  EXPECT_EQ(compare("lt.s16"), 1u);
}

TEST(Float, SetWritesAllOnesOrOne) {
  EXPECT_EQ(evaluate32("set.lt.u32.f32 %d, %a, %b;", {bits(1.0f), bits(2.0f)}), 0xffffffffu);
  EXPECT_EQ(evaluate32("set.lt.f32.f32 %d, %a, %b;", {bits(1.0f), bits(2.0f)}), bits(1.0f));
  EXPECT_EQ(evaluate32("slct.b32.s32 %d, %a, %b, %c;", {5, 6, 0xffffffff}), 6u);
}

TEST(Float, ApproximateFunctionsAreRoundedFromTheExactValue) {
  EXPECT_EQ(evaluate32("ex2.approx.ftz.f32 %d, %a;", {bits(3.0f)}), bits(8.0f));
  EXPECT_EQ(evaluate32("lg2.approx.f32 %d, %a;", {bits(8.0f)}), bits(3.0f));
  EXPECT_EQ(evaluate32("rcp.rn.f32 %d, %a;", {bits(4.0f)}), bits(0.25f));
  EXPECT_EQ(evaluate32("rsqrt.approx.f32 %d, %a;", {bits(4.0f)}), bits(0.5f));
  EXPECT_EQ(evaluate32("sqrt.approx.ftz.f32 %d, %a;", {bits(kTiny)}), 0u);
  EXPECT_EQ(evaluate("rcp.approx.ftz.f64 %d, %a;", {bits(3.0)}), bits(1.0 / 3.0) & 0xffffffff00000000);
}

TEST(Half, ArithmeticRoundsOnceToItsFormat) {
  EXPECT_EQ(evaluate("add.rn.f16 %d, %a, %b;", {0x3c00, 0x3c00}), 0x4000u);   // 1 + 1
  EXPECT_EQ(evaluate("add.rn.f16 %d, %a, %b;", {0x7bff, 0x7bff}), 0x7c00u);   // Overflow.
  EXPECT_EQ(evaluate("mul.rn.bf16 %d, %a, %b;", {0x4000, 0x3fc0}), 0x4040u);  // 2 * 1.5
  EXPECT_EQ(evaluate("sub.rn.f16 %d, %a, %b;", {0x7c00, 0x7c00}), 0x7fffu);   // inf - inf
  EXPECT_EQ(evaluate("fma.rn.bf16x2 %d, %a, %b, %c;", {0x3f804000, 0x40003f80, 0x3f803f80}), 0x40404040u);
  EXPECT_EQ(evaluate("max.f16x2 %d, %a, %b;", {0x3c007e00, 0x40003c00}), 0x40003c00u);
  EXPECT_EQ(evaluate("neg.bf16 %d, %a;", {0x3f80}), 0xbf80u);
}

TEST(Half, FmaOfBfloatIsNotRoundedTwice) {
  // 1.0078125 * 1.5 lies half way between two bf16 values. A tiny addend decides, although a double loses it.
  const std::uint64_t a = 0x3f81, b = 0x3fc0, tiny = 0x0001, minus_tiny = 0x8001;
  EXPECT_EQ(evaluate("fma.rn.bf16 %d, %a, %b, %c;", {a, b, tiny}), 0x3fc2u);
  EXPECT_EQ(evaluate("fma.rn.bf16 %d, %a, %b, %c;", {a, b, minus_tiny}), 0x3fc1u);
}

}  // namespace
}  // namespace cuda_emulator
