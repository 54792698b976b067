// warp_test.cpp - tests shuffles, votes, barriers and special registers of many threads.
#include <gtest/gtest.h>

#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

/// Runs `code` in each of `threads` threads of each block. %t is the thread's number in its block. Returns
/// the %d and %p of each thread as d | p << 32.
std::vector<std::uint64_t> run(const std::string& code, std::uint32_t threads = 32, std::uint32_t blocks = 1,
                               OrderOptions order = {}) {
  Snippet snippet(
      ".reg .pred %p, %q;\n.reg .b64 %in, %out, %t, %d, %a, %b, %place;\n"
      "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nmov.u32 %t, %tid.x;\n"
      "setp.ne.u32 %p, %t, %t;\n" +
      code +
      "\nselp.u64 %a, 1, 0, %p;\nshl.b64 %a, %a, 32;\ncvt.u64.u32 %d, %d;\nor.b64 %d, %d, %a;\n"
      "mov.u32 %a, %ctaid.x;\nmov.u32 %b, %ntid.x;\nmad.lo.u32 %a, %a, %b, %t;\n"
      "mul.wide.u32 %place, %a, 8;\nadd.s64 %out, %out, %place;\nst.global.u64 [%out], %d;\n");
  snippet.launch().threads = order;
  return snippet.run({0}, std::size_t{threads} * blocks, threads, blocks);
}

std::uint64_t value(std::uint64_t d, bool p) { return d | std::uint64_t{p} << 32; }

TEST(Warp, ShuffleDownStopsAtTheSegmentEnd) {
  const auto out = run("shfl.sync.down.b32 %d|%p, %t, 3, 31, 0xffffffff;");
  EXPECT_EQ(out[0], value(3, true));
  EXPECT_EQ(out[28], value(31, true));
  EXPECT_EQ(out[29], value(29, false));
}

TEST(Warp, ShuffleUpStopsAtTheSegmentStart) {
  const auto out = run("shfl.sync.up.b32 %d|%p, %t, 2, 0, 0xffffffff;");
  EXPECT_EQ(out[0], value(0, false));
  EXPECT_EQ(out[2], value(0, true));
  EXPECT_EQ(out[31], value(29, true));
}

TEST(Warp, ShuffleHonoursSegments) {
  // Segments of 8 lanes: bits 8 to 12 hold the segment mask 0x18.
  const auto down = run("shfl.sync.down.b32 %d|%p, %t, 1, 0x181f, 0xffffffff;");
  EXPECT_EQ(down[6], value(7, true));
  EXPECT_EQ(down[7], value(7, false));
  const auto index = run("shfl.sync.idx.b32 %d|%p, %t, 5, 0x181f, 0xffffffff;");
  EXPECT_EQ(index[3], value(5, true));
  EXPECT_EQ(index[17], value(21, true));
}

TEST(Warp, ButterflyExchangesPairs) {
  const auto out = run("shfl.sync.bfly.b32 %d|%p, %t, 16, 31, 0xffffffff;");
  EXPECT_EQ(out[1], value(17, true));
  EXPECT_EQ(out[20], value(4, true));
}

TEST(Warp, ShuffleWithAPartialMaskAffectsOnlyItsLanes) {
  const auto out =
      run("mov.u32 %d, 99;\nsetp.lt.u32 %q, %t, 8;\n@!%q bra END;\n"
          "shfl.sync.bfly.b32 %d, %t, 1, 31, 0x000000ff;\nEND:\n");
  EXPECT_EQ(out[6] & 0xffffffff, 7u);
  EXPECT_EQ(out[8] & 0xffffffff, 99u);
  EXPECT_EQ(Reports::instance().count(), 0u);
}

TEST(Warp, VotesAndBallotsCombineThePredicates) {
  const std::string odd = "and.b32 %a, %t, 1;\nsetp.eq.u32 %q, %a, 1;\n";
  EXPECT_EQ(run(odd + "vote.sync.ballot.b32 %d, %q, 0xffffffff;")[4], 0xaaaaaaaau);
  EXPECT_EQ(run(odd + "vote.sync.any.pred %p, %q, 0xffffffff;\nmov.u32 %d, 0;")[4], value(0, true));
  EXPECT_EQ(run(odd + "vote.sync.all.pred %p, %q, 0xffffffff;\nmov.u32 %d, 0;")[4], 0u);
  EXPECT_EQ(run(odd + "vote.sync.ballot.b32 %d, !%q, 0xffffffff;")[0], 0x55555555u);
}

TEST(Warp, ReductionsAndMatchesCombineTheValues) {
  EXPECT_EQ(run("redux.sync.add.s32 %d, %t, 0xffffffff;")[9], 496u);
  EXPECT_EQ(run("sub.s32 %a, 3, %t;\nredux.sync.min.s32 %d, %a, 0xffffffff;")[0], 0xffffffe4u);
  EXPECT_EQ(run("shr.u32 %a, %t, 4;\nmatch.any.sync.b32 %d, %a, 0xffffffff;")[20], 0xffff0000u);
}

TEST(Warp, BarrierLetsEveryThreadSeeTheOthersInEveryOrder) {
  const std::string code =
      ".shared .align 4 .b8 line[512];\nmov.u32 %a, line;\nshl.b32 %b, %t, 2;\nadd.u32 %b, %a, %b;\n"
      "st.shared.u32 [%b], %t;\nbar.sync 0;\nxor.b32 %b, %t, 127;\nshl.b32 %b, %b, 2;\nadd.u32 %b, %a, %b;\n"
      "ld.shared.u32 %d, [%b];\n";
  for (const OrderOptions order :
       {OrderOptions{}, OrderOptions{ThreadOrder::reverse, 0}, OrderOptions{ThreadOrder::random, 3}}) {
    const auto out = run(code, 128, 3, order);
    for (std::uint32_t k = 0; k < out.size(); ++k) ASSERT_EQ(out[k], 127 - k % 128);
  }
  EXPECT_EQ(Reports::instance().count(), 0u);
}

TEST(Warp, BarrierReductionCountsPredicates) {
  const std::string third = "setp.lt.u32 %q, %t, 10;\n";
  EXPECT_EQ(run(third + "bar.red.popc.u32 %d, 0, %q;", 64)[50], 10u);
  EXPECT_EQ(run(third + "bar.red.or.pred %p, 0, %q;\nmov.u32 %d, 0;", 64)[50], value(0, true));
  EXPECT_EQ(run(third + "bar.red.and.pred %p, 0, %q;\nmov.u32 %d, 0;", 64)[50], 0u);
}

TEST(Warp, SpecialRegistersHoldLaneWarpAndBlock) {
  const auto out =
      run("mov.u32 %a, %laneid;\nmov.u32 %b, %warpid;\nmad.lo.u32 %a, %b, 100, %a;\n"
          "mov.u32 %b, %ctaid.x;\nmad.lo.u32 %d, %b, 10000, %a;",
          64, 6);
  EXPECT_EQ(out[0], 0u);
  EXPECT_EQ(out[33], 101u);
  EXPECT_EQ(out[5 * 64 + 63], 50131u);
  EXPECT_EQ(run("mov.u32 %d, %lanemask_lt;")[5], 31u);
  EXPECT_EQ(run("mov.u32 %d, %lanemask_ge;")[31], 0x80000000u);
}

TEST(Warp, BlocksThatWaitForEachOtherMakeProgress) {
  // Block 0 spins until the last block of its wave has raised the flag.
  const std::string code =
      "mov.u32 %a, %ctaid.x;\nsetp.ne.u32 %q, %a, 0;\n@%q bra RAISE;\nSPIN:\nld.volatile.global.u32 %d, "
      "[%in];\n"
      "setp.eq.u32 %q, %d, 0;\n@%q bra SPIN;\nbra END;\nRAISE:\nmov.u32 %d, 7;\nsetp.ne.u32 %q, %a, 3;\n"
      "@%q bra END;\nst.volatile.global.u32 [%in], 7;\nEND:\n";
  EXPECT_EQ(run(code, 1, 4)[0], 7u);
}

}  // namespace
}  // namespace cuda_emulator
