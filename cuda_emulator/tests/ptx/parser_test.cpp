// parser_test.cpp - tests the lexer, the parser and the fat binary reader.
#include <gtest/gtest.h>

#include "ptx/fatbin.hpp"
#include "ptx/lexer.hpp"
#include "ptx/module.hpp"

namespace cuda_emulator {
namespace {

std::vector<std::string> tokens(std::string_view text) {
  Lexer lexer(text);
  std::vector<std::string> all;
  for (Token token = lexer.next(); token.kind != Token::Kind::end; token = lexer.next())
    all.emplace_back(token.text);
  return all;
}

TEST(Lexer, InstructionsAndRegistersStayWhole) {
  EXPECT_EQ(tokens("@!%p1 ld.global.L2::128B.v2.f32 {%f1,%f2}, [%rd1+-8];  // comment\n/* and\nmore */ ret;"),
            (std::vector<std::string>{"@", "!", "%p1", "ld.global.L2::128B.v2.f32", "{", "%f1", ",", "%f2",
                                      "}", ",", "[", "%rd1", "+", "-", "8", "]", ";", "ret", ";"}));
}

TEST(Lexer, LabelsAndTheirColonsAreSeparateTokens) {
  EXPECT_EQ(tokens("$L__BB0_3: bra $L__BB0_3;"),
            (std::vector<std::string>{"$L__BB0_3", ":", "bra", "$L__BB0_3", ";"}));
}

TEST(Lexer, ErrorsNameTheLine) {
  Lexer lexer("a\nb\n;");
  lexer.next();
  lexer.next();
  try {
    lexer.expect("x");
    FAIL();
  } catch (const PtxError& error) {
    EXPECT_NE(std::string(error.what()).find("PTX line 3"), std::string::npos);
  }
}

const char* const kModule =
    ".version 9.0\n.target sm_80\n.address_size 64\n"
    ".extern .shared .align 16 .b8 dynamic[];\n"
    ".global .align 4 .b8 table[8] = {1, 2, 0xff};\n"
    ".visible .entry k(.param .align 8 .b8 args[24], .param .u64 .ptr .global .align 4 p)\n"
    ".maxntid 128, 2, 1\n.minnctapersm 1\n{\n.reg .b32 %r<3>;\n.loc 1 7 3\n"
    "add.s32 %r1, %r2, -5;\n.loc 2 3 4, function_name $L__info_string1, inlined_at 1 8 5\n"
    ".loc 2 9 1, function_name $L__info_string0, inlined_at 2 3 4\n"
    "@!%p1 bra L;\nL:\nret;\n}\n"
    ".file 1 \"/a/b.cu\"\n.file 2 \"/a/c.cuh\"\n";

TEST(Parser, ReadsVariablesKernelsAndFiles) {
  const auto module = parse_module(kModule);
  ASSERT_EQ(module->variables.size(), 2u);
  EXPECT_TRUE(module->variables[0].open);
  EXPECT_EQ(module->variables[1].bytes, 8u);
  EXPECT_EQ(module->variables[1].initializers[2].bits, 0xffu);
  const Function& kernel = module->functions.at("k");
  EXPECT_TRUE(kernel.is_entry);
  EXPECT_EQ(kernel.max_threads, 256u);
  ASSERT_EQ(kernel.parameters.size(), 2u);
  EXPECT_EQ(kernel.parameters[0].bytes, 24u);
  EXPECT_EQ(kernel.parameters[1].name, "p");
  EXPECT_EQ(module->files.at(2), "/a/c.cuh");
}

TEST(Parser, StatementsKnowTheirSourceLines) {
  const auto module = parse_module(kModule);
  const auto body = parse_body(*module, module->functions.at("k"));
  const Statement& add = body[1].statement;
  EXPECT_EQ(add.opcode, "add");
  EXPECT_EQ(add.text, "add.s32 %r1, %r2, -5");
  EXPECT_EQ(add.operands[2].bits, static_cast<std::uint64_t>(-5));
  EXPECT_EQ(add.source.line, 7);
  const Statement& branch = body[2].statement;
  EXPECT_EQ(branch.guard, "%p1");
  EXPECT_TRUE(branch.guard_negated);
  EXPECT_EQ(branch.source.file, 2);
  ASSERT_EQ(branch.source.callers.size(), 2u);
  EXPECT_EQ(branch.source.callers[0].line, 3);
  EXPECT_EQ(branch.source.callers[1].line, 8);
}

TEST(Parser, UnknownDirectivesAreErrors) {
  EXPECT_THROW(parse_module(".version 9.0\n.mystery x;\n"), PtxError);
  EXPECT_THROW(parse_module(".entry k() {"), PtxError);
}

TEST(Fatbin, ErrorForMissingPtxSaysHowToCompile) {
  const std::uint32_t empty[4] = {0xba55ed50, 0x00100001, 0, 0};
  try {
    ptx_from_fatbin(empty, 80);
    FAIL();
  } catch (const PtxError& error) {
    EXPECT_NE(std::string(error.what()).find("--compress-mode=none"), std::string::npos);
  }
}

}  // namespace
}  // namespace cuda_emulator
