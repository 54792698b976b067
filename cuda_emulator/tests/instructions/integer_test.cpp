// integer_test.cpp - tests integer instructions against the values that the PTX ISA gives.
#include <gtest/gtest.h>

#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

constexpr std::uint64_t kMinusOne = ~std::uint64_t{0};

TEST(Integer, AdditionWrapsAroundAtItsOwnWidth) {
  EXPECT_EQ(evaluate32("add.s32 %d, %a, %b;", {0x7fffffff, 1}), 0x80000000u);
  EXPECT_EQ(evaluate("add.u16 %d, %a, %b;", {0xffff, 2}), 1u);
  EXPECT_EQ(evaluate("add.s64 %d, %a, %b;", {kMinusOne, 1}), 0u);
}

TEST(Integer, SaturatingAdditionStopsAtTheLimits) {
  EXPECT_EQ(evaluate32("add.sat.s32 %d, %a, %b;", {0x7fffffff, 1}), 0x7fffffffu);
  EXPECT_EQ(evaluate32("sub.sat.s32 %d, %a, %b;", {0x80000000, 1}), 0x80000000u);
}

TEST(Integer, MultiplyHasLowHighAndWideForms) {
  EXPECT_EQ(evaluate32("mul.lo.s32 %d, %a, %b;", {0x10001, 0x10001}), 0x20001u);
  EXPECT_EQ(evaluate32("mul.hi.u32 %d, %a, %b;", {0xffffffff, 0xffffffff}), 0xfffffffeu);
  EXPECT_EQ(evaluate32("mul.hi.s32 %d, %a, %b;", {0xffffffff, 0xffffffff}), 0u);
  EXPECT_EQ(evaluate("mul.wide.s32 %d, %a, %b;", {0xffffffff, 3}), kMinusOne - 2);
  EXPECT_EQ(evaluate("mul.wide.u32 %d, %a, %b;", {0xffffffff, 3}), 0x2fffffffdu);
  EXPECT_EQ(evaluate32("mul.wide.u16 %d, %a, %b;", {0xffff, 0xffff}), 0xfffe0001u);
  EXPECT_EQ(evaluate("mul.hi.u64 %d, %a, %b;", {kMinusOne, kMinusOne}), kMinusOne - 1);
  EXPECT_EQ(evaluate("mul.hi.s64 %d, %a, %b;", {kMinusOne, 5}), kMinusOne);
}

TEST(Integer, MultiplyAddAddsAtTheWidthOfTheProduct) {
  EXPECT_EQ(evaluate32("mad.lo.s32 %d, %a, %b, %c;", {7, 6, 0xffffffff}), 41u);
  EXPECT_EQ(evaluate("mad.wide.u32 %d, %a, %b, %c;", {0xffffffff, 2, 1ull << 40}),
            (1ull << 40) + 0x1fffffffe);
  EXPECT_EQ(evaluate32("mad.hi.u32 %d, %a, %b, %c;", {0x80000000, 4, 1}), 3u);
}

TEST(Integer, DivisionTruncatesAndSurvivesZeroAndOverflow) {
  EXPECT_EQ(evaluate32("div.s32 %d, %a, %b;", {0xfffffff9, 2}), 0xfffffffdu);  // -7 / 2 = -3
  EXPECT_EQ(evaluate32("rem.s32 %d, %a, %b;", {0xfffffff9, 2}), 0xffffffffu);
  EXPECT_EQ(evaluate32("div.u32 %d, %a, %b;", {7, 0}), 0xffffffffu);
  EXPECT_EQ(evaluate32("rem.u32 %d, %a, %b;", {7, 0}), 7u);
  EXPECT_EQ(evaluate32("div.s32 %d, %a, %b;", {0x80000000, 0xffffffff}), 0x80000000u);
  EXPECT_EQ(evaluate("rem.s64 %d, %a, %b;", {1ull << 63, kMinusOne}), 0u);
}

TEST(Integer, CarryLinksTwoWords) {
  const std::string add = "add.cc.u32 %x, %a, %b;\naddc.u32 %d, %c, %e;";
  EXPECT_EQ(evaluate32(add, {0xffffffff, 1, 5, 6}), 12u);
  EXPECT_EQ(evaluate32(add, {0xfffffffe, 1, 5, 6}), 11u);
  const std::string subtract = "sub.cc.u64 %x, %a, %b;\nsubc.u64 %d, %c, %e;";
  EXPECT_EQ(evaluate(subtract, {0, 1, 9, 4}), 4u);
  EXPECT_EQ(evaluate(subtract, {1, 1, 9, 4}), 5u);
  EXPECT_EQ(evaluate32("mad.lo.cc.u32 %x, %a, %b, %c;\nmadc.hi.u32 %d, %a, %b, %e;", {0xffffffff, 2, 2, 7}),
            9u);
}

TEST(Integer, OldShortFormsStillWork) {
  EXPECT_EQ(evaluate32("sad.u32 %d, %a, %b, %c;", {3, 10, 100}), 107u);
  EXPECT_EQ(evaluate32("sad.s32 %d, %a, %b, %c;", {0xffffffff, 1, 0}), 2u);
  EXPECT_EQ(evaluate32("mul24.lo.u32 %d, %a, %b;", {0xff000003, 5}), 15u);
  EXPECT_EQ(evaluate32("mad24.lo.s32 %d, %a, %b, %c;", {0x00ffffff, 5, 7}), 2u);
}

TEST(Integer, MinimumAndMaximumRespectTheSign) {
  EXPECT_EQ(evaluate32("min.s32 %d, %a, %b;", {0xffffffff, 1}), 0xffffffffu);
  EXPECT_EQ(evaluate32("min.u32 %d, %a, %b;", {0xffffffff, 1}), 1u);
  EXPECT_EQ(evaluate("max.s64 %d, %a, %b;", {kMinusOne, 1}), 1u);
}

TEST(Integer, AbsoluteValueOfTheSmallestNumberIsItself) {
  EXPECT_EQ(evaluate32("abs.s32 %d, %a;", {0x80000000}), 0x80000000u);
  EXPECT_EQ(evaluate32("abs.s32 %d, %a;", {0xfffffffe}), 2u);
  EXPECT_EQ(evaluate32("neg.s32 %d, %a;", {1}), 0xffffffffu);
}

TEST(Integer, PredicateLogicYieldsZeroOrOne) {
  const std::string set = "setp.ne.u64 %p, %a, 0;\nsetp.ne.u64 %q, %b, 0;\n";
  const std::string get = "\nselp.u64 %d, 1, 0, %p;";
  EXPECT_EQ(evaluate(set + "and.pred %p, %p, %q;" + get, {1, 0}), 0u);
  EXPECT_EQ(evaluate(set + "xor.pred %p, %p, %q;" + get, {1, 0}), 1u);
  EXPECT_EQ(evaluate(set + "not.pred %p, %q;" + get, {1, 0}), 1u);
  EXPECT_EQ(evaluate(set + "or.pred %p, %p, !%q;" + get, {0, 1}), 0u);
}

TEST(Integer, ShiftsPastTheWidthGiveZeroOrTheSign) {
  EXPECT_EQ(evaluate32("shl.b32 %d, %a, %b;", {1, 31}), 0x80000000u);
  EXPECT_EQ(evaluate32("shl.b32 %d, %a, %b;", {1, 32}), 0u);
  EXPECT_EQ(evaluate32("shl.b32 %d, %a, %b;", {1, 0xffffffff}), 0u);
  EXPECT_EQ(evaluate32("shr.u32 %d, %a, %b;", {0x80000000, 40}), 0u);
  EXPECT_EQ(evaluate32("shr.s32 %d, %a, %b;", {0x80000000, 40}), 0xffffffffu);
  EXPECT_EQ(evaluate("shl.b64 %d, %a, %b;", {1, 63}), 1ull << 63);
  EXPECT_EQ(evaluate("shr.u64 %d, %a, %b;", {1ull << 63, 64}), 0u);
  EXPECT_EQ(evaluate("shl.b16 %d, %a, %b;", {0xffff, 8}) & 0xffff, 0xff00u);
}

TEST(Integer, FunnelShiftClampsOrWrapsItsCount) {
  EXPECT_EQ(evaluate32("shf.l.wrap.b32 %d, %a, %b, %c;", {0x80000000, 1, 33}), 3u);
  EXPECT_EQ(evaluate32("shf.l.clamp.b32 %d, %a, %b, %c;", {0x12345678, 1, 40}), 0x12345678u);
  EXPECT_EQ(evaluate32("shf.r.wrap.b32 %d, %a, %b, %c;", {0x10, 1, 4}), 0x10000001u);
  EXPECT_EQ(evaluate32("shf.r.clamp.b32 %d, %a, %b, %c;", {0x10, 0xabcd, 32}), 0xabcdu);
}

TEST(Integer, BitFieldExtractSignExtendsFromItsTopBit) {
  EXPECT_EQ(evaluate32("bfe.u32 %d, %a, %b, %c;", {0xabcd1234, 8, 8}), 0x12u);
  EXPECT_EQ(evaluate32("bfe.s32 %d, %a, %b, %c;", {0x0000f000, 8, 8}), 0xfffffff0u);
  EXPECT_EQ(evaluate32("bfe.u32 %d, %a, %b, %c;", {0xabcd1234, 8, 0}), 0u);
  EXPECT_EQ(evaluate32("bfe.s32 %d, %a, %b, %c;", {0x80000000, 28, 32}), 0xfffffff8u);
  EXPECT_EQ(evaluate32("bfe.s32 %d, %a, %b, %c;", {0x80000000, 40, 4}), 0xffffffffu);
  EXPECT_EQ(evaluate("bfe.u64 %d, %a, %b, %c;", {0xabcdull << 40, 40, 16}), 0xabcdu);
}

TEST(Integer, BitFieldInsertIgnoresWhatDoesNotFit) {
  EXPECT_EQ(evaluate32("bfi.b32 %d, %a, %b, %c, %e;", {0xff, 0, 4, 8}), 0xff0u);
  EXPECT_EQ(evaluate32("bfi.b32 %d, %a, %b, %c, %e;", {0xff, 0x11111111, 28, 8}), 0xf1111111u);
  EXPECT_EQ(evaluate32("bfi.b32 %d, %a, %b, %c, %e;", {0xff, 0x1234, 40, 8}), 0x1234u);
  EXPECT_EQ(evaluate("bfi.b64 %d, %a, %b, %c, %e;", {5, 0, 32, 32}), 5ull << 32);
}

TEST(Integer, PermuteSelectsBytesAndRepeatsSigns) {
  EXPECT_EQ(evaluate32("prmt.b32 %d, %a, %b, %c;", {0x33221100, 0x77665544, 0x7410}), 0x77441100u);
  EXPECT_EQ(evaluate32("prmt.b32 %d, %a, %b, %c;", {0x33228100, 0, 0x9999}), 0xffffffffu);
  EXPECT_EQ(evaluate32("prmt.b32 %d, %a, %b, %c;", {0x33228100, 0, 0x8888}), 0u);
}

TEST(Integer, BitCountsAndReversalsMatchTheIsa) {
  EXPECT_EQ(evaluate32("popc.b32 %d, %a;", {0xffffffff00000003}), 2u);
  EXPECT_EQ(evaluate32("popc.b64 %d, %a;", {0xffffffff00000003}), 34u);
  EXPECT_EQ(evaluate32("clz.b32 %d, %a;", {0}), 32u);
  EXPECT_EQ(evaluate32("clz.b64 %d, %a;", {1}), 63u);
  EXPECT_EQ(evaluate32("brev.b32 %d, %a;", {1}), 0x80000000u);
  EXPECT_EQ(evaluate32("bfind.u32 %d, %a;", {0x100}), 8u);
  EXPECT_EQ(evaluate32("bfind.s32 %d, %a;", {0xffffffff}), 0xffffffffu);
  EXPECT_EQ(evaluate32("bfind.shiftamt.u32 %d, %a;", {0x100}), 23u);
  EXPECT_EQ(evaluate32("bmsk.clamp.b32 %d, %a, %b;", {4, 8}), 0xff0u);
  EXPECT_EQ(evaluate32("bmsk.clamp.b32 %d, %a, %b;", {28, 99}), 0xf0000000u);
}

TEST(Integer, Lop3ComputesAnyFunctionOfThreeBits) {
  EXPECT_EQ(evaluate32("lop3.b32 %d, %a, %b, %c, 0x96;", {0xf0, 0xcc, 0xaa}), 0x96u);  // a ^ b ^ c
  EXPECT_EQ(evaluate32("lop3.b32 %d, %a, %b, %c, 0xe8;", {0xf0, 0xcc, 0xaa}), 0xe8u);  // majority
}

TEST(Integer, MovePacksAndUnpacksVectors) {
  EXPECT_EQ(evaluate("mov.b64 %d, {%a, %b};", {0x1111222233334444, 0x5555}), 0x0000555533334444u);
  EXPECT_EQ(evaluate32("mov.b32 %d, {0, %a};", {0x3f80}), 0x3f800000u);
  EXPECT_EQ(evaluate("mov.b64 {%x, %d}, %a;", {0xaaaabbbbccccdddd}), 0xaaaabbbbu);
  EXPECT_EQ(evaluate("mov.b64 {%d, _}, %a;", {0xaaaabbbbccccdddd}), 0xccccddddu);
}

TEST(Integer, LoadsExtendByTheirOwnSignedness) {
  EXPECT_EQ(evaluate("ld.global.s8 %d, [%in];", {0x80}), 0xffffffffffffff80u);
  EXPECT_EQ(evaluate("ld.global.u8 %d, [%in];", {0xff80}), 0x80u);
  EXPECT_EQ(evaluate("ld.global.s16 %d, [%in+2];", {0x8000ffff}), 0xffffffffffff8000u);
}

}  // namespace
}  // namespace cuda_emulator
