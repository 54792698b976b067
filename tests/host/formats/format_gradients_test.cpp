// format_gradients_test.cpp - in every format, gradients are zeroed completely, have the norm of the same
// numbers in float32, and skip the step if one is not finite.
#include <gtest/gtest.h>

#include <bit>

#include "support/formats/format_skipping.hpp"
#include "support/formats/format_zeroing.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

class FormatGradients : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, FormatGradients, testing::ValuesIn(all_format_cases()), by_name);

TEST_P(FormatGradients, AreZeroedToTheLastByteAndNoFurther) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const Zeroing by : kZeroings) {
      for (const std::int64_t chunk_size : {64, 0}) {
        SCOPED_TRACE(testing::Message() << rule.name << ", by " << static_cast<int>(by));
        expect_zeroed(rule, {GetParam(), Device::cpu(), by, chunk_size});
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(FormatGradients, HaveTheNormOfTheSameNumbersInFloat32) {
  const std::vector<std::int64_t> sizes{1, 100, 0, 1025, 4097};
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    const FormatModel narrow(GetParam(), Device::cpu(), sizes),
        wide(format_case("float32"), Device::cpu(), sizes);
    narrow.draw_finite(1);
    for (std::size_t i = 0; i < sizes.size(); ++i) wide.grad(i).write(narrow.grad(i).floats());
    Optimizer in_format{
        SGD{}, narrow.parameters(), {.storage = GetParam().low(), .float32_storage = GetParam().wide()}};
    Optimizer in_float32{SGD{}, wide.parameters()};
    in_format.clip_grad_norm({.norm_type = type});
    in_float32.clip_grad_norm({.norm_type = type});
    in_format.step();
    in_float32.step();
    EXPECT_GT(in_format.grad_norm(), 1.0);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(in_format.grad_norm()),
              std::bit_cast<std::uint64_t>(in_float32.grad_norm()));
  }
}

TEST_P(FormatGradients, SkipTheStepIfNotFiniteAndAreNamed) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    expect_skipped(rule, GetParam(), Device::cpu());
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace onepass::test
