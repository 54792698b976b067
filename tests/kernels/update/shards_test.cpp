// shards_test.cpp - shards on the GPU compute what the whole tensor does on the CPU, however it is cut.
#include "kernels/cuda_test.hpp"
#include "support/formats/sharded.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaShards : public CudaTest {};

constexpr std::int64_t kRows = 5, kColumns = 77, kNumel = kRows * kColumns;

Options options_of(DType ema) {
  return {.chunk_size = 128, .threads = 1, .seed = 11, .ema = EMA{.decay = 0.9, .dtype = ema}};
}

/// Expects shards on the GPU to have the bytes of the same shards on the CPU, in 8-bit states too, and where
/// their blocks are not divided those of the whole.
void expect_whole(const RuleCase& rule, const FormatCase& format, const Places& cut, const Options& options,
                  int steps) {
  Sharded whole(rule, format, Device::cpu(), {{kNumel, 0}}, options);
  Sharded on_cpu(rule, format, Device::cpu(), cut, options);
  Sharded on_gpu(rule, format, kGpu, cut, options, steps % 2 == 0);
  for (int step = 1; step <= steps; ++step) {
    for (Sharded* const one : {&whole, &on_cpu, &on_gpu}) one->step(step);
  }
  ASSERT_TRUE(equal_elements(whole, on_gpu, format)) << cut.size() << " shards, run " << cut[0].run;
  ASSERT_EQ(on_cpu.elements(), on_gpu.elements()) << cut.size() << " shards, run " << cut[0].run;
}

TEST_F(CudaShards, HaveTheBitsOfTheWholeHoweverItIsCut) {
  Sample sample;
  std::uint64_t seed = 0;
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const FormatCase& format : all_format_cases()) {
      if (!sample.takes_next()) continue;
      SCOPED_TRACE(rule.name + " in " + format.name);
      const int count = 1 + static_cast<int>(++seed % 7);
      const Places cut = seed % 2 == 0 ? cut_by_elements(kNumel, count, seed % 3 == 0 ? 32 : 1, seed)
                                       : cut_by_columns(kRows, kColumns, count, 1, seed);
      const DType ema = seed % 4 < 2 ? DType::bfloat16 : DType::float32;
      expect_whole(rule, format, cut, options_of(ema), seed % 13 == 0 ? 17 : 2 + static_cast<int>(seed % 2));
      if (HasFatalFailure()) return;
    }
  }
}

// Each run of such a shard has a chunk of its own, which lies in one block.
TEST_F(CudaShards, OfOneColumnHaveTheBitsOfTheWhole) {
  const Places cut{{kRows * 40, 0, 40, kColumns}, {kRows, 40, 1, kColumns}, {kRows * 36, 41, 36, kColumns}};
  for (const char* const name : {"bf16_stochastic", "all_bf16_stochastic", "compact", "f16_short_q8"}) {
    SCOPED_TRACE(name);
    expect_whole(one_case_per_layout().front(), format_case(name), cut, options_of(DType::bfloat16), 3);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace onepass::test
