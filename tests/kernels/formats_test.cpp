// formats_test.cpp - every format has the bits of the CPU on the GPU, in one launch each.
#include "kernels/cuda_test.hpp"
#include "support/compare.hpp"
#include "support/low_model.hpp"
#include "support/low_state.hpp"
#include "support/low_zeroing.hpp"

namespace onepass::test {
namespace {

class CudaFormats : public CudaTest {};

constexpr int kSteps = 4;

std::vector<std::byte> after_steps(const RuleCase& rule, const FormatCase& format, Device device) {
  const LowModel model(format, device, kLowSizes);
  const AnyOptimizerPtr optimizer =
      rule.make(model.parameters(), {.chunk_size = 128, .storage = format.storage, .seed = 7});
  for (int step = 1; step <= kSteps; ++step) {
    model.draw(step, 30);
    optimizer->step();
  }
  return all_bytes(model, optimizer->state_dict());
}

TEST_F(CudaFormats, EveryRuleInEveryFormatHasTheBitsOfTheCpu) {
  for (const RuleCase& rule : one_case_per_kernel()) {
    for (const FormatCase& format : format_cases()) {
      SCOPED_TRACE(rule.name + " in " + format.name);
      ASSERT_EQ(after_steps(rule, format, Device::cpu()), after_steps(rule, format, kGpu));
    }
  }
}

/// Averages and copies beside the parameters of AdamW, as bytes.
std::vector<std::byte> followers(const FormatCase& format, Device device, DType ema, DType copy_type) {
  const LowModel model(format, device, kLowSizes);
  std::vector<Parameter> parameters = model.parameters();
  std::vector<LowBuffer> copies;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    copies.emplace_back(device, copy_type, kLowSizes[i], static_cast<int>(i % 5));
    copies.back().write(std::vector<float>(static_cast<std::size_t>(kLowSizes[i]), 0.0f));
    if (format.param == DType::float32) parameters[i].copy = copies.back().tensor();
  }
  Optimizer optimizer{AdamW{},
                      parameters,
                      {.chunk_size = 128,
                       .storage = format.storage,
                       .seed = 7,
                       .ema = EMA{.decay = 0.9, .warmup = true, .dtype = ema}}};
  for (int step = 1; step <= kSteps; ++step) {
    model.draw(step, 30);
    optimizer.step();
  }
  std::vector<std::byte> all = all_bytes(model, optimizer.state_dict());
  for (const LowBuffer& one : copies) {
    const std::vector<std::byte> bytes = one.bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

TEST_F(CudaFormats, WhatFollowsAParameterHasTheBitsOfTheCpu) {
  for (const FormatCase& format : format_cases()) {
    for (const auto& [ema, copy_type] :
         {std::pair{DType::float32, DType::bfloat16}, std::pair{DType::bfloat16, DType::float16}}) {
      SCOPED_TRACE(std::string(format.name) + ", average in " + to_string(ema));
      ASSERT_EQ(followers(format, Device::cpu(), ema, copy_type), followers(format, kGpu, ema, copy_type));
    }
  }
}

TEST_F(CudaFormats, GradientsAreZeroedToTheLastByteAndNoFurther) {
  const RuleCase rule = one_case_per_kernel().front();
  for (const FormatCase& format : format_cases()) {
    for (const Zeroing by : kZeroings) {
      SCOPED_TRACE(testing::Message() << format.name << ", by " << static_cast<int>(by));
      expect_zeroed(rule, {format, kGpu, by, by == Zeroing::step ? 0 : 128});  // a thread's turns, or chunks
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaFormats, EachFormatThatIsThereIsOneLaunch) {
  const LowModel wide(format_cases()[0], kGpu, {100, 200}), low(format_cases()[1], kGpu, {100, 200});
  std::vector<Parameter> parameters = wide.parameters();
  for (Parameter& parameter : low.parameters()) {
    parameter.name += "_low";
    parameters.insert(parameters.begin() + 1, parameter);
  }
  Optimizer optimizer{AdamW{}, parameters};
  optimizer.clip_grad_norm(1.0);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  EXPECT_EQ(graph.kernel_nodes(), 4);  // norm, prepare, an update of each format
  EXPECT_EQ(graph.node_count(), 4);
}

}  // namespace
}  // namespace onepass::test
