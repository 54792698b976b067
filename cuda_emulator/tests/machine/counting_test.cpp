// counting_test.cpp - tests the counts of kernels whose work is known by hand.
#include <gtest/gtest.h>

#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

const std::string kStart =
    ".reg .pred %p, %q;\n.reg .b64 %in, %out, %a, %b, %c, %d, %t, %x, %y;\n"
    "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nmov.u32 %t, %tid.x;\ncvt.u64.u32 %t, %t;\n";
constexpr std::uint64_t kStartInstructions = 4;  // Without `ret`.

struct Shape {
  std::uint32_t threads = 32, blocks = 1;
};

/// Returns the counts of one launch on 4 KiB of input.
cuda_emulator_counts count(const std::string& body, Shape shape = {}) {
  Snippet snippet(kStart + body);
  cuda_emulator_counts counts{};
  snippet.launch().counts = &counts;
  snippet.run(std::vector<std::uint64_t>(512), 512, shape.threads, shape.blocks);
  EXPECT_EQ(Reports::instance().take().size(), 0u);
  counts.instructions = snippet.launch().instructions;
  return counts;
}

/// Returns the counts of one load of `type` by each thread at in + scale * thread.
cuda_emulator_counts load_at(const std::string& type, int scale, Shape shape = {}) {
  const bool vector = type.starts_with("v4");
  return count("mul.lo.u64 %a, %t, " + std::to_string(scale) + ";\nadd.u64 %a, %a, %in;\nld.global." + type +
                   (vector ? " {%x, %y, %c, %d}" : " %x") + ", [%a];\n",
               shape);
}

TEST(Counting, NothingIsCountedUnlessAsked) {
  Snippet snippet(kStart + "ld.global.u32 %x, [%in];\n");
  snippet.run({0}, 1);
  EXPECT_EQ(snippet.launch().counts, nullptr);
}

TEST(Counting, NeighboursShareSectors) {
  const cuda_emulator_counts counts = load_at("u32", 4);
  EXPECT_EQ(counts.instructions, 32 * (kStartInstructions + 4));
  EXPECT_EQ(counts.loads, 32u);
  EXPECT_EQ(counts.bytes_read, 128u);
  EXPECT_EQ(counts.read_requests, 1u);
  EXPECT_EQ(counts.read_sectors, 4u);
  EXPECT_EQ(counts.stores + counts.atomics + counts.bytes_written + counts.write_sectors, 0u);
}

TEST(Counting, SectorsFollowFromWidthAndStride) {
  EXPECT_EQ(load_at("v4.u32", 16).read_sectors, 16u);
  EXPECT_EQ(load_at("v4.u32", 16).bytes_read, 512u);
  EXPECT_EQ(load_at("u8", 1).read_sectors, 1u);
  EXPECT_EQ(load_at("u32", 32).read_sectors, 32u);  // 32 bytes apart: each thread touches its own sector.
  EXPECT_EQ(load_at("u32", 0).read_sectors, 1u);    // All threads read the same number.
  EXPECT_EQ(load_at("u32", 0).bytes_read, 128u);    // Bytes count once per access.
}

TEST(Counting, WarpsAndBlocksShareNoRequests) {
  const cuda_emulator_counts counts = load_at("u32", 0, {.threads = 80, .blocks = 5});
  EXPECT_EQ(counts.loads, 400u);
  EXPECT_EQ(counts.read_requests, 15u);
  EXPECT_EQ(counts.read_sectors, 15u);
}

TEST(Counting, EachTurnOfALoopIsARequest) {
  const cuda_emulator_counts counts = count(
      "mov.u64 %b, 0;\nLOOP:\nld.global.u32 %x, [%in];\nadd.u64 %b, %b, 1;\nsetp.lt.u64 %p, %b, 3;\n"
      "@%p bra LOOP;\n");
  EXPECT_EQ(counts.instructions, 32 * (kStartInstructions + 1 + 3 * 4 + 1));
  EXPECT_EQ(counts.loads, 96u);
  EXPECT_EQ(counts.read_requests, 3u);
  EXPECT_EQ(counts.read_sectors, 3u);
}

TEST(Counting, InstructionWithAFalseGuardCountsOnlyAsAnInstruction) {
  const cuda_emulator_counts counts = count(
      "setp.lt.u64 %p, %t, 4;\nshl.b64 %a, %t, 3;\nadd.u64 %a, %a, %out;\n@%p st.global.u64 [%a], %t;\n");
  EXPECT_EQ(counts.instructions, 32 * (kStartInstructions + 5));
  EXPECT_EQ(counts.stores, 4u);
  EXPECT_EQ(counts.bytes_written, 32u);
  EXPECT_EQ(counts.write_requests, 1u);
  EXPECT_EQ(counts.write_sectors, 1u);
}

TEST(Counting, AtomicsReadAndWrite) {
  const cuda_emulator_counts counts = count("atom.global.add.u32 %x, [%in], 1;\n");
  EXPECT_EQ(counts.atomics, 32u);
  EXPECT_EQ(counts.loads + counts.stores, 0u);
  EXPECT_EQ(counts.bytes_read, 128u);
  EXPECT_EQ(counts.bytes_written, 128u);
  EXPECT_EQ(counts.write_sectors, 1u);
}

TEST(Counting, GenericAccessesCountInTheSpaceTheyPointTo) {
  const cuda_emulator_counts counts = count(
      ".shared .align 8 .b8 both[8];\n.local .align 8 .b8 own[8];\nmov.u64 %a, own;\n"
      "cvta.local.u64 %b, %a;\nst.u64 [%b], %t;\nld.local.u64 %x, [%a];\nmov.u64 %a, both;\n"
      "cvta.shared.u64 %b, %a;\nst.u64 [%b], 7;\nld.u64 %x, [%in];\n",
      {.threads = 1});
  EXPECT_EQ(counts.local_accesses, 2u);
  EXPECT_EQ(counts.loads, 1u);
  EXPECT_EQ(counts.stores, 0u);
  EXPECT_EQ(counts.bytes_read, 8u);
}

TEST(Counting, LoadThatOverwritesItsAddressCountsAtTheOldAddress) {
  EXPECT_EQ(count("shl.b64 %a, %t, 5;\nadd.u64 %a, %a, %in;\nld.global.u64 %a, [%a];\n").read_sectors, 32u);
}

TEST(Counting, DivisionsAndRootsAreCounted) {
  const cuda_emulator_counts counts = count(
      "mov.u32 %a, 0f40000000;\ndiv.rn.f32 %b, %a, %a;\nrcp.rn.f32 %b, %a;\nsqrt.rn.f32 %b, %a;\n"
      "rsqrt.approx.f32 %b, %a;\nmul.f32 %b, %a, %a;\n");
  EXPECT_EQ(counts.divisions, 64u);
  EXPECT_EQ(counts.roots, 64u);
}

TEST(Counting, AnyOrderOfThreadsGivesTheSameCounts) {
  const std::string body =
      "mov.u64 %b, 0;\nshl.b64 %a, %t, 2;\nadd.u64 %a, %a, %in;\nLOOP:\nld.global.u32 %x, [%a];\n"
      "add.u64 %a, %a, 256;\nadd.u64 %b, %b, 1;\nsetp.lt.u64 %p, %b, 4;\n@%p bra LOOP;\nbar.sync 0;\n";
  const cuda_emulator_counts forward = count(body, {.threads = 64, .blocks = 3});
  Snippet snippet(kStart + body);
  cuda_emulator_counts random{};
  snippet.launch().counts = &random;
  snippet.launch().threads = {ThreadOrder::random, 5};
  snippet.run(std::vector<std::uint64_t>(512), 512, 64, 3);
  EXPECT_EQ(random.read_requests, forward.read_requests);
  EXPECT_EQ(random.read_sectors, forward.read_sectors);
  EXPECT_EQ(forward.read_sectors, 3u * 2 * 4 * 4);
  EXPECT_EQ(random.bytes_read, forward.bytes_read);
}

}  // namespace
}  // namespace cuda_emulator
