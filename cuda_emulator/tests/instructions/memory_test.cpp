// memory_test.cpp - tests loads, stores, atomics, state spaces and calls.
#include <gtest/gtest.h>

#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

/// Returns the findings of the launches since the last call, as "class: text".
std::string findings() {
  std::string text;
  for (const Finding& finding : Reports::instance().take()) {
    text += std::string(name_of(finding.fault)) + ": " + finding.what + "\n";
  }
  return text;
}

const std::string kStart =
    ".reg .pred %p, %q;\n.reg .b64 %in, %out, %a, %b, %c, %d, %x, %y;\n"
    "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\n";

std::vector<std::uint64_t> run(const std::string& body, const std::vector<std::uint64_t>& in,
                               std::size_t count, std::uint32_t threads = 1) {
  Snippet snippet(kStart + body);
  return snippet.run(in, count, threads);
}

TEST(Memory, VectorLoadsAndStoresKeepTheirOrder) {
  const auto out =
      run("ld.global.v4.u32 {%a, %b, %c, %d}, [%in];\n"
          "st.global.v2.u64 [%out], {%d, %c};\nst.global.v2.u64 [%out+16], {%b, %a};\n",
          {0x200000001, 0x400000003}, 4);
  EXPECT_EQ(out, (std::vector<std::uint64_t>{4, 3, 2, 1}));
}

TEST(Memory, GenericAddressesReachSharedVariables) {
  const auto out =
      run(".shared .align 8 .b8 first[8];\n.shared .align 8 .b8 second[8];\n"
          "mov.u64 %a, second;\nst.shared.u64 [first], 11;\nst.shared.u64 [%a], 22;\n"
          "cvta.shared.u64 %b, %a;\nld.u64 %c, [%b];\nst.global.u64 [%out], %c;\n"
          "isspacep.shared %p, %b;\nselp.u64 %d, 1, 0, %p;\nst.global.u64 [%out+8], %d;\n"
          "cvta.to.shared.u64 %b, %b;\nld.shared.u64 %c, [%b];\nst.global.u64 [%out+16], %c;\n",
          {0}, 3);
  EXPECT_EQ(out, (std::vector<std::uint64_t>{22, 1, 22}));
}

TEST(Memory, LocalMemoryBelongsToItsThread) {
  const auto out =
      run(".local .align 8 .b8 depot[16];\nmov.u64 %a, depot;\ncvta.local.u64 %b, %a;\nmov.u32 %x, %tid.x;\n"
          "cvt.u64.u32 %x, %x;\nst.local.u64 [%a+8], %x;\nbar.sync 0;\nld.u64 %c, [%b+8];\n"
          "shl.b64 %y, %x, 3;\nadd.s64 %out, %out, %y;\nst.global.u64 [%out], %c;\n",
          {0}, 2, 2);
  EXPECT_EQ(out, (std::vector<std::uint64_t>{0, 1}));
}

TEST(Memory, GlobalAndConstantVariablesHaveTheirInitialValues) {
  Snippet snippet(kStart +
                      "ld.const.u32 %a, [table+4];\nmov.u64 %b, pointer;\nld.global.u64 %b, [%b];\n"
                      "ld.global.u32 %b, [%b];\nst.global.u64 [%out], %a;\nst.global.u64 [%out+8], %b;\n",
                  ".const .align 4 .u32 table[2] = {7, 8};\n.global .align 4 .b8 bytes[4] = {1, 2, 3, 4};\n"
                  ".global .align 8 .u64 pointer = generic(bytes);\n");
  EXPECT_EQ(snippet.run({0}, 2), (std::vector<std::uint64_t>{8, 0x04030201}));
}

TEST(Memory, CallsPassValuesAndReturnThem) {
  Snippet snippet(kStart +
                      "ld.global.u64 %a, [%in];\n{\n.param .b64 argument;\nst.param.b64 [argument], %a;\n"
                      ".param .b64 result;\ncall.uni (result), factorial, (argument);\n"
                      "ld.param.b64 %b, [result];\n}\nst.global.u64 [%out], %b;\n",
                  ".func (.param .b64 result) factorial(.param .b64 n) {\n.reg .pred %p;\n.reg .b64 %a, %b;\n"
                  "ld.param.u64 %a, [n];\nmov.u64 %b, 1;\nsetp.eq.u64 %p, %a, 0;\n@%p bra DONE;\n"
                  "{\n.param .b64 x;\nsub.u64 %b, %a, 1;\nst.param.b64 [x], %b;\n.param .b64 y;\n"
                  "call.uni (y), factorial, (x);\nld.param.b64 %b, [y];\n}\nmul.lo.u64 %b, %a, %b;\n"
                  "DONE:\nst.param.b64 [result], %b;\nret;\n}\n");
  EXPECT_EQ(snippet.run({10}, 1).front(), 3628800u);
}

TEST(Memory, AtomicsReturnTheOldValue) {
  const auto atomic = [](const std::string& code, std::uint64_t old, std::uint64_t b, std::uint64_t c = 0) {
    const auto out =
        run("ld.global.u64 %b, [%in+8];\nld.global.u64 %c, [%in+16];\n" + code +
                "\nld.global.u64 %x, [%in];\nst.global.u64 [%out], %a;\nst.global.u64 [%out+8], %x;\n",
            {old, b, c}, 2);
    return std::pair(out[0], out[1]);
  };
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(atomic("atom.global.add.u32 %a, [%in], %b;", 5, 3), Pair(5, 8));
  EXPECT_EQ(atomic("atom.global.add.u64 %a, [%in], %b;", ~0ull, 2), Pair(~0ull, 1));
  EXPECT_EQ(atomic("atom.global.inc.u32 %a, [%in], %b;", 3, 3), Pair(3, 0));
  EXPECT_EQ(atomic("atom.global.inc.u32 %a, [%in], %b;", 2, 3), Pair(2, 3));
  EXPECT_EQ(atomic("atom.global.dec.u32 %a, [%in], %b;", 0, 3), Pair(0, 3));
  EXPECT_EQ(atomic("atom.global.exch.b32 %a, [%in], %b;", 1, 9), Pair(1, 9));
  EXPECT_EQ(atomic("atom.global.cas.b32 %a, [%in], %b, %c;", 1, 1, 7), Pair(1, 7));
  EXPECT_EQ(atomic("atom.global.cas.b32 %a, [%in], %b, %c;", 1, 2, 7), Pair(1, 1));
  EXPECT_EQ(atomic("atom.global.min.s32 %a, [%in], %b;", 1, 0xffffffff), Pair(1, 0xffffffff));
  EXPECT_EQ(atomic("atom.global.max.u32 %a, [%in], %b;", 1, 0xffffffff), Pair(1, 0xffffffff));
  EXPECT_EQ(atomic("atom.global.add.f32 %a, [%in], %b;", bits(1.5f), bits(2.0f)),
            Pair(bits(1.5f), bits(3.5f)));
  EXPECT_EQ(atomic("mov.u64 %a, 0;\nred.global.or.b32 [%in], %b;", 1, 6), Pair(0, 7));
}

TEST(Memory, GuardedInstructionsAreSkipped) {
  const auto out =
      run("setp.eq.u64 %p, %in, 0;\nmov.u64 %a, 1;\n@%p mov.u64 %a, 2;\n@!%p add.u64 %a, %a, 10;\n"
          "st.global.u64 [%out], %a;\n",
          {0}, 1);
  EXPECT_EQ(out.front(), 11u);
}

TEST(Memory, LoopsEnd) {
  const auto out =
      run("mov.u64 %a, 0;\nmov.u64 %b, 0;\nLOOP:\nadd.u64 %a, %a, %b;\nadd.u64 %b, %b, 1;\n"
          "setp.le.u64 %p, %b, 100;\n@%p bra LOOP;\nst.global.u64 [%out], %a;\n",
          {0}, 1);
  EXPECT_EQ(out.front(), 5050u);
}

TEST(Memory, BadAddressesAreReportedAndReadAsOnes) {
  findings();
  EXPECT_EQ(run("ld.global.u32 %a, [%in+4096];\nst.global.u64 [%out], %a;\n", {0}, 1).front(), 0xffffffffu);
  EXPECT_NE(findings().find("access out of bounds"), std::string::npos);
  run("ld.global.u32 %a, [%in+2];\nst.global.u64 [%out], %a;\n", {0}, 1);
  EXPECT_NE(findings().find("misaligned access"), std::string::npos);
  run("mov.u64 %a, 0;\nld.global.u32 %a, [%a];\n", {0}, 1);
  EXPECT_NE(findings().find("near the null pointer"), std::string::npos);
  run("ld.global.u64 %a, [%out];\n", {0}, 1);
  EXPECT_NE(findings().find("read of memory never written"), std::string::npos);
}

TEST(Memory, UnknownInstructionsAndModifiersAreNamedWithTheirLine) {
  const auto problem = [](const std::string& code) -> std::string {
    try {
      run(".loc 1 42 1\n" + code, {0}, 1);
    } catch (const PtxError& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(problem("frobnicate.b32 %a, %b;\n").find("snippet.cu:42: unknown instruction"),
            std::string::npos);
  EXPECT_NE(problem("add.odd.s32 %a, %a, %b;\n").find("unknown modifier .odd"), std::string::npos);
  EXPECT_NE(problem("add.s32 %a, %a, %nowhere;\n").find("unknown name %nowhere"), std::string::npos);
}

}  // namespace
}  // namespace cuda_emulator
