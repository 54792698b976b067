// decoder_test.cpp - tests decoding: scopes, operands, and the errors for unknown parts.
#include <gtest/gtest.h>

#include <string>

#include "decode/selection.hpp"
#include "ptx/module.hpp"
#include "tests/snippet.hpp"

namespace cuda_emulator {
namespace {

/// Returns the decoder's error for a kernel with this body, or an empty text if there is no error.
std::string complaint_about(const std::string& body) {
  try {
    Snippet(".reg .b64 %in;\n" + body).run({0}, 1);
  } catch (const PtxError& error) {
    return error.what();
  }
  return {};
}

TEST(Decoder, UnknownInstructionIsNamedWithItsSourceLine) {
  const std::string said = complaint_about(".loc 1 42 0\nfrobnicate.u32 %in, %in;");
  EXPECT_NE(said.find("frobnicate"), std::string::npos) << said;
  EXPECT_NE(said.find("snippet.cu:42"), std::string::npos) << said;
}

TEST(Decoder, UnknownModifierIsNamed) {
  const std::string said = complaint_about("add.s32.sideways %in, %in, 1;");
  EXPECT_NE(said.find("sideways"), std::string::npos) << said;
}

TEST(Decoder, UnknownNamesAreReportedByName) {
  EXPECT_NE(complaint_about("mov.u64 %in, %nowhere;").find("%nowhere"), std::string::npos);
  EXPECT_NE(complaint_about("bra $nowhere;").find("$nowhere"), std::string::npos);
}

TEST(Decoder, KnownInstructionsPass) { EXPECT_EQ(complaint_about("mov.u64 %in, 1;"), ""); }

TEST(Decoder, InnerScopesHideOuterRegisters) {
  EXPECT_EQ(evaluate("mov.u64 %d, 1;\n{ .reg .b64 %d; mov.u64 %d, 2; }\nadd.u64 %d, %d, 10;", {}), 11u);
}

TEST(Decoder, ImmediatesAreReadByTheirType) {
  EXPECT_EQ(evaluate32("mov.f32 %d, 0f3F800000;", {}), 0x3f800000u);
  EXPECT_EQ(evaluate("mov.f64 %d, 0d4000000000000000;", {}), 0x4000000000000000u);
  EXPECT_EQ(evaluate("mov.s64 %d, -2;", {}), ~std::uint64_t{1});
  EXPECT_EQ(evaluate32("mov.u32 %d, 0xfF;", {}), 255u);
}

TEST(Decoder, VectorOperandsMayHoldImmediates) {
  EXPECT_EQ(evaluate32("mov.b32 %d, {0, 5};", {}), 5u << 16);
  EXPECT_EQ(evaluate("mov.b64 {%x, %y}, %a;\nmov.b64 %d, {%y, %x};", {0x1111111122222222u}),
            0x2222222211111111u);
}

TEST(Decoder, PredicatesMayBeInverted) {
  const std::string code = "setp.eq.u64 %p, %a, 1;\n@%p mov.u64 %d, 10;\n@!%p mov.u64 %d, 20;";
  EXPECT_EQ(evaluate(code, {1}), 10u);
  EXPECT_EQ(evaluate(code, {2}), 20u);
}

TEST(Modifiers, EachWordIsTakenOnce) {
  Modifiers modifiers({"global", "v4", "L2::128B", "f32"});
  EXPECT_FALSE(modifiers.take("shared"));
  EXPECT_TRUE(modifiers.take("global"));
  EXPECT_FALSE(modifiers.take("global"));
  EXPECT_EQ(modifiers.take_one({"v2", "v4"}), 1);
  EXPECT_EQ(modifiers.take_one({"v2", "v4"}), -1);
  modifiers.drop_starting_with("L2::");
  EXPECT_EQ(modifiers.first(), "f32");
  EXPECT_TRUE(modifiers.take("f32"));
  EXPECT_EQ(modifiers.first(), "");
}

}  // namespace
}  // namespace cuda_emulator
