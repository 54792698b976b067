// traffic_test.cpp - counts every access: the kernels move the bytes that Optimizer::traffic() returns.
#include <algorithm>
#include <bit>

#include "host/backend/rule_ops.hpp"
#include "kernels/cuda_test.hpp"
#include "onepass/rule/element.hpp"
#include "step/table.hpp"
#include "support/work/kernel_work.hpp"

namespace onepass::test {
namespace {

class CudaTraffic : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped() && !work_is_counted()) GTEST_SKIP() << "accesses are counted by cuda_emulator alone";
  }
};

RuleCase adamw() {
  const std::vector<RuleCase> cases = one_case_per_kernel();
  return *std::ranges::find(cases, "AdamW_plain_coupled", &RuleCase::name);
}

const VariantOps& variant_of(const RuleCase& rule) { return rule.rule.ops().variants[rule.variant]; }

/// Returns the bytes per element that a kernel which reads some states reads and traffic() does not count. A
/// block's scale has 2 bytes. All four lanes that share the block read it, in one transaction; traffic()
/// counts one of these reads. `states` has a bit for each state.
double repeated_scales(const WorkStep& step, unsigned states) {
  if (step.format.storage.states != States::quantized8) return 0;
  return std::popcount(states & ~variant_of(step.rule).float32) * 3.0 * 2.0 / storage::kBlock;
}
/// The same of a step, which reads all states.
double repeated_scales(const WorkStep& step) {
  return repeated_scales(step, (1u << variant_of(step.rule).states.size()) - 1);
}

/// Returns the bytes per element that an average or a copy reads of the parameter that the step has just
/// stored: its master if it has one.
double read_again(const FormatCase& format) {
  switch (format.storage.master) {
    case Master::float32:
      return 4;
    case Master::split:
      return 4;
    case Master::remainder8:
      return 3;
    case Master::none:
      break;
  }
  return static_cast<double>(size_of(format.param));
}

/// Returns the most bytes per element that the tiles of an average or a copy read from the table again:
/// pointers and types. The compiler must assume that a store has changed them. All lanes read the same bytes,
/// from the cache.
double most_of_tile(const WorkStep& step) {
  const bool wide = step.format.param == DType::float32;
  const int followers = (step.options.ema ? 1 : 0) + (step.copy != DType::uint8 ? 1 : 0);
  return ((wide ? 2.0 : 1.0) * sizeof(void*) + followers * sizeof(DType)) / (wide ? 4 : 8);
}

void expect_between(double bytes, double least, double more) {
  EXPECT_GE(bytes, least);
  EXPECT_LE(bytes, least + more);
}

/// Returns the most bytes that the threads of a thread block read before they come to the elements of a
/// chunk.
double most_of_chunk() {
  std::size_t coefficients = 0;
  for (const Rule& rule : library_rules()) {
    coefficients = std::max(coefficients, rule.ops().coefficient_bytes);
  }
  constexpr int kThreads = 256;
  return static_cast<double>(
      kThreads * (sizeof(step::Chunk) + sizeof(void*) + sizeof(step::TensorEntry) + coefficients));
}

/// Returns the bytes per element that the kernel which takes a rule's sums reads, without scales that lanes
/// read again. It writes no stream. A sum over more elements may have one more word that is not 0, which the
/// kernel reads and writes in the table.
double bytes_of_sums(const WorkStep& step) {
  const Rule& rule = step.rule.rule;
  if (!rule.ops().takes_sums(rule.bytes())) return 0.0;
  const unsigned measured = variant_of(step.rule).measured;
  const KernelWork work = work_of(step, "measure<");
  EXPECT_LE(work.bytes_written, 0.01);
  EXPECT_EQ(work.local_accesses, 0);
  return work.bytes_read - work.bytes_written - repeated_scales(step, measured / rule::kState<0>);
}

void expect_bytes_of_streams(const RuleCase& rule, const FormatCase& format) {
  SCOPED_TRACE(rule.name + " in " + format.name);
  const WorkStep step{.rule = rule, .format = format};
  const KernelWork work = work_of(step, kernel_of(rule, format));
  EXPECT_EQ(work.bytes() + bytes_of_sums(step), work.traffic + repeated_scales(step));
  EXPECT_LE(work.chunk_bytes, most_of_chunk());
  EXPECT_EQ(work.local_accesses, 0);
}

TEST_F(CudaTraffic, EveryRuleMovesTheBytesOfItsStreams) {
  for (const RuleCase& rule : one_case_per_kernel()) {
    for (const char* const format : {"float32", "bf16_split", "compact"}) {
      expect_bytes_of_streams(rule, format_case(format));
    }
  }
}

TEST_F(CudaTraffic, EveryLayoutOfStatesInEveryFormatMovesTheBytesOfItsStreams) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const FormatCase& format : format_cases()) expect_bytes_of_streams(rule, format);
  }
}

// The kernel that the other formats share also copies the tensor's entry, once for each thread and chunk.
TEST_F(CudaTraffic, AdamWInOtherFormatsMovesTheBytesOfItsStreams) {
  for (const FormatCase& format : other_format_cases()) {
    SCOPED_TRACE(format.name);
    const WorkStep step{.rule = adamw(), .format = format};
    const KernelWork work = work_of(step, "any_format<");
    EXPECT_EQ(work.bytes(), work.traffic + repeated_scales(step));
    EXPECT_LE(work.chunk_bytes, most_of_chunk());
    EXPECT_EQ(work.local_accesses, 0);
    RecordProperty(format.name, std::to_string(work.instructions));
  }
}

// docs/storage.md states these numbers.
TEST_F(CudaTraffic, AdamWMovesTheDocumentedBytes) {
  EXPECT_EQ(work_of({.rule = adamw(), .format = format_case("float32")}).bytes(), 28);
  EXPECT_EQ(work_of({.rule = adamw(), .format = format_case("bf16_split")}).bytes(), 26);
  const WorkStep compact{.rule = adamw(), .format = format_case("compact")};
  EXPECT_EQ(work_of(compact).bytes() - repeated_scales(compact), 12.25);
}

TEST_F(CudaTraffic, AWholeTensorMovesItsElementsAndItsChunks) {
  constexpr std::int64_t kNumel = 64 * 1024, kChunk = 4096;
  for (const char* name : {"float32", "bf16_split", "compact"}) {
    SCOPED_TRACE(name);
    const WorkStep step{.rule = adamw(), .format = format_case(name), .options = {.chunk_size = kChunk}};
    const KernelWork work = work_of(step);
    const cuda_emulator_counts counts = count_step(step, kNumel, kUpdateKernel).counts;
    EXPECT_EQ(static_cast<double>(counts.bytes_read + counts.bytes_written),
              kNumel * work.bytes() + kNumel / kChunk * work.chunk_bytes);
    EXPECT_EQ(static_cast<double>(counts.instructions),
              kNumel * work.instructions + kNumel / kChunk * work.chunk_instructions);
  }
}

TEST_F(CudaTraffic, ClippingByNormReadsTheGradientOnceMore) {
  for (const char* name : {"float32", "bf16", "bf16_split_grad32", "compact"}) {
    SCOPED_TRACE(name);
    WorkStep step{.rule = adamw(), .format = format_case(name)};
    const KernelWork before = work_of(step);
    step.handling.clip_norm = ClipGradNorm{.max_norm = 1.0};
    const KernelWork update = work_of(step), norm = work_of(step, "reduce_gradients_kernel");
    EXPECT_EQ(norm.bytes_read, size_of(step.format.grad));
    EXPECT_EQ(norm.bytes_written, 0);
    EXPECT_EQ(update.bytes(), before.bytes());
    EXPECT_EQ(update.traffic, before.traffic + norm.bytes());
  }
}

TEST_F(CudaTraffic, ZeroingWritesTheGradientOnce) {
  for (const char* name : {"float32", "bf16", "compact_grad32"}) {
    SCOPED_TRACE(name);
    WorkStep step{.rule = adamw(), .format = format_case(name)};
    const KernelWork before = work_of(step);
    step.handling.zero_grad = true;
    const KernelWork update = work_of(step);
    EXPECT_EQ(update.bytes_read, before.bytes_read);
    EXPECT_EQ(update.bytes_written - before.bytes_written, size_of(step.format.grad));
    EXPECT_EQ(update.bytes(), update.traffic + repeated_scales(step));
  }
}

// The step reads and writes the average. It also reads the parameter that it has just stored, but from the
// cache (kernels/update/followers.cuh), so that traffic() does not count it.
TEST_F(CudaTraffic, AnAverageReadsTheParameterFromTheCache) {
  for (const FormatCase& format : format_cases()) {
    if (format.grad != format.param) continue;  // the gradient's type does not matter to an average
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      SCOPED_TRACE(std::string(format.name) + " with an average of " + to_string(dtype));
      WorkStep step{.rule = adamw(), .format = format};
      const KernelWork before = work_of(step);
      step.options.ema = EMA{.dtype = dtype};
      const KernelWork update = work_of(step);
      EXPECT_EQ(update.traffic - before.traffic, 2.0 * static_cast<double>(size_of(dtype)));
      expect_between(update.bytes(), update.traffic + repeated_scales(step) + read_again(format),
                     most_of_tile(step));
      EXPECT_EQ(update.bytes_written - before.bytes_written, size_of(dtype));
    }
  }
}

TEST_F(CudaTraffic, ACopyIsWrittenFromTheCache) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    const WorkStep step{.rule = adamw(), .format = format_case("float32"), .copy = dtype};
    const KernelWork update = work_of(step);
    EXPECT_EQ(update.traffic, 30);
    EXPECT_EQ(update.bytes_written, 12 + 2);
    expect_between(update.bytes_read, 16 + read_again(step.format), most_of_tile(step));
  }
}

TEST_F(CudaTraffic, SlowWeightsMoveAndTheParameterIsWrittenAgain) {
  for (const char* const name : {"float32", "bf16_master", "bf16_split"}) {
    WorkStep step{.rule = adamw(), .format = format_case(name)};
    const KernelWork before = work_of(step);
    step.options.lookahead = Lookahead{.k = 1};
    const KernelWork update = work_of(step);
    const double stored = step.format.storage.master == Master::float32 ? 6 : 4;
    EXPECT_EQ(update.traffic - before.traffic, 8 + stored) << name;
    EXPECT_EQ(update.bytes_written - before.bytes_written, 4 + stored) << name;
    expect_between(update.bytes(), update.traffic + read_again(step.format), most_of_tile(step));
  }
}

TEST_F(CudaTraffic, AnAverageAndACopyReadTheParameterOnce) {
  const WorkStep step{
      .rule = adamw(), .format = format_case("float32"), .options = {.ema = EMA{}}, .copy = DType::bfloat16};
  expect_between(work_of(step).bytes(), 28 + 8 + 2 + read_again(step.format), most_of_tile(step));
}

}  // namespace
}  // namespace onepass::test
