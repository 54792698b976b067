// cuda_second_optimizer_test.cpp - on a GPU, rules without a hand-written step are verified against a second
// optimizer on the CPU.
#include <gtest/gtest.h>

#include <memory>

#include "bench/subject.hpp"

namespace onepass::bench {
namespace {

constexpr Device kGpu = Device::cuda(0);

TEST(CudaSecondOptimizer, VerifiesEveryRuleInEveryFormat) {
  if (!cuda_available()) GTEST_SKIP() << "there is no CUDA device here";
  const std::unique_ptr<Machine> machine = cuda_machine(kGpu);
  for (RuleChoice rule : rule_choices()) {
    rule.by_hand = nullptr;
    for (const FormatChoice& format : format_choices()) {
      if (!is_measured(rule, format)) continue;
      const Case measured{&rule, &format, many(2, 1001), Isa::baseline, 1, kGpu};
      Subject subject(measured);
      subject.capture(*machine);
      EXPECT_EQ(subject.verify(), 2002) << measured.text();
    }
  }
}

}  // namespace
}  // namespace onepass::bench
