// format_gradients_test.cpp - in every format: what is done to gradients of 16 bits beside the step itself.
#include <gtest/gtest.h>

#include "support/low_zeroing.hpp"

namespace onepass::test {
namespace {

class FormatGradients : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, FormatGradients, testing::ValuesIn(format_cases()),
                         [](const testing::TestParamInfo<FormatCase>& info) {
                           return std::string(info.param.name);
                         });

TEST_P(FormatGradients, AreZeroedToTheLastByteAndNoFurther) {
  for (const RuleCase& rule : one_case_per_kernel()) {
    for (const Zeroing by : kZeroings) {
      for (const std::int64_t chunk_size : {64, 0}) {
        SCOPED_TRACE(testing::Message() << rule.name << ", by " << static_cast<int>(by));
        expect_zeroed(rule, {GetParam(), Device::cpu(), by, chunk_size});
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace onepass::test
