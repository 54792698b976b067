// formats_test.cpp - every format gives the bits of the CPU on the GPU, with one launch per format.
#include "kernels/cuda_test.hpp"
#include "support/formats/format_mix.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/format_skipping.hpp"
#include "support/formats/format_state.hpp"
#include "support/formats/format_zeroing.hpp"
#include "support/numbers/compare.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaFormats : public CudaTest {};

constexpr int kSteps = 4;

/// Sizes of tensors, how they are cut into chunks, and the steps to take.
struct Cut {
  std::vector<std::int64_t> sizes = kFormatSizes;
  std::int64_t chunk_size = 128;
  int steps = kSteps;
  GradientHandling handling = {};
};

std::vector<std::byte> after_steps(const RuleCase& rule, const FormatCase& format, Device device,
                                   const Cut& cut = {}) {
  const FormatModel model(format, device, cut.sizes);
  Optimizer optimizer = rule.make(
      model.parameters(),
      {.chunk_size = cut.chunk_size, .storage = format.low(), .float32_storage = format.wide(), .seed = 7});
  optimizer.set_gradient_handling(cut.handling);
  for (int step = 1; step <= cut.steps; ++step) {
    cut.handling.clip_norm ? model.draw_finite(step) : model.draw(step, 30);
    optimizer.step();
  }
  EXPECT_TRUE(model.intact());
  return all_bytes(model, optimizer.state_dict());
}

TEST_F(CudaFormats, EveryKernelHasTheBitsOfTheCpu) {
  const Cut small{{100, 1025}, 0, 2};
  Sample sample;
  for (const RuleCase& rule : one_case_per_kernel()) {
    for (const FormatCase& format : format_cases()) {
      if (!sample.takes_next()) continue;
      SCOPED_TRACE(rule.name + " in " + format.name);
      ASSERT_EQ(after_steps(rule, format, Device::cpu(), small), after_steps(rule, format, kGpu, small));
    }
    // Rules without states share kernels of formats that differ in their states alone: few are other formats.
    const std::size_t others = rule.rule.state_names().empty() ? other_format_cases().size() : 1;
    for (std::size_t i = 0; i < others; ++i) {
      const FormatCase& other = other_format_cases()[i];
      SCOPED_TRACE(rule.name + " in " + other.name);
      ASSERT_EQ(after_steps(rule, other, Device::cpu(), small), after_steps(rule, other, kGpu, small));
    }
  }
}

TEST_F(CudaFormats, EveryLayoutOfStatesInEveryFormatHasTheBitsOfTheCpu) {
  Sample sample;
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const FormatCase& format : all_format_cases()) {
      if (!sample.takes_next()) continue;
      SCOPED_TRACE(rule.name + " in " + format.name);
      ASSERT_EQ(after_steps(rule, format, Device::cpu()), after_steps(rule, format, kGpu));
    }
  }
}

// Four lanes draw for each other in four turns. A turn is 2,048 elements of a chunk, or 1,024 with 8-bit
// states. The first tensor is aligned, so the kernel does its whole turns in the loop without checks and then
// the rest.
TEST_F(CudaFormats, EveryTurnOfAChunkHasTheRandomBitsOfTheCpu) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const char* const name : {"bf16_stochastic", "all_bf16_stochastic", "compact"}) {
      const FormatCase& format = format_case(name);
      for (const Cut& cut : {Cut{{5003, 4096}, 0, 2}, Cut{{11003, 10250}, 16384, 2}}) {
        SCOPED_TRACE(rule.name + " in " + name + ", chunks of " + std::to_string(cut.chunk_size));
        ASSERT_EQ(after_steps(rule, format, Device::cpu(), cut), after_steps(rule, format, kGpu, cut));
      }
    }
  }
}

/// Types of the moving average and of the copies, and the sizes and steps.
struct Following {
  DType ema, copy;
  Cut cut = {};
};

/// Returns the state of AdamW with moving averages, and the copies of the parameters, as bytes.
std::vector<std::byte> followers(const FormatCase& format, Device device, const Following& following) {
  const Cut& cut = following.cut;
  const FormatModel model(format, device, cut.sizes);
  std::vector<Parameter> parameters = model.parameters();
  std::vector<FormatBuffer> copies;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    copies.emplace_back(device, following.copy, cut.sizes[i], static_cast<int>(i % 5));
    copies.back().write(std::vector<float>(static_cast<std::size_t>(cut.sizes[i]), 0.0f));
    if (format.param == DType::float32) parameters[i].copy = copies.back().tensor();
  }
  Optimizer optimizer{AdamW{},
                      parameters,
                      {.chunk_size = cut.chunk_size,
                       .storage = format.low(),
                       .float32_storage = format.wide(),
                       .seed = 7,
                       .ema = EMA{.decay = 0.9,
                                  .warmup = following.ema == DType::float32,
                                  .bias_correction = following.ema == DType::bfloat16,
                                  .dtype = following.ema}}};
  for (int step = 1; step <= cut.steps; ++step) {
    model.draw(step, 30);
    optimizer.step();
  }
  std::vector<std::byte> all = all_bytes(model, optimizer.state_dict());
  for (const FormatBuffer& one : copies) {
    EXPECT_TRUE(one.intact());
    const std::vector<std::byte> bytes = one.bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

TEST_F(CudaFormats, AveragesAndCopiesHaveTheBitsOfTheCpu) {
  for (const FormatCase& format : all_format_cases()) {
    for (const auto& [ema, copy] :
         {std::pair{DType::float32, DType::bfloat16}, std::pair{DType::bfloat16, DType::float16}}) {
      // The CPU updates averages and copies in ranges of 2,048 elements; other tests check its values at this
      // size.
      for (const Cut& cut : {Cut{}, Cut{{5003, 5000}, 0, 2}}) {
        SCOPED_TRACE(std::string(format.name) + ", average in " + to_string(ema));
        const Following following{ema, copy, cut};
        ASSERT_EQ(followers(format, Device::cpu(), following), followers(format, kGpu, following));
      }
    }
  }
}

TEST_F(CudaFormats, CopiesAreTheParametersRoundedToNearest) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const FormatModel model(format_cases()[0], kGpu, {5003});
    const FormatBuffer low(kGpu, dtype, 5003, 1);
    std::vector<Parameter> parameters = model.parameters();
    parameters[0].copy = low.tensor();
    Optimizer optimizer{AdamW{}, parameters};
    model.draw(1, 30);
    optimizer.step();
    EXPECT_EQ(encoded(dtype, model.value(0).floats()), low.bytes()) << to_string(dtype);
  }
}

TEST_F(CudaFormats, GradientsAreZeroedToTheLastByteAndNoFurther) {
  const RuleCase rule = one_case_per_layout().front();
  for (const FormatCase& format : all_format_cases()) {
    for (const Zeroing by : kZeroings) {
      SCOPED_TRACE(testing::Message() << format.name << ", by " << static_cast<int>(by));
      const std::int64_t chunk_size = by == Zeroing::step ? 0 : 512;  // a thread's turns, or chunks
      expect_zeroed(rule, {format, kGpu, by, chunk_size, {3011, 0, 7, 100, 515}});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(CudaFormats, PenaltiesAndClippedGradientsHaveTheBitsOfTheCpu) {
  const Cut by_value{kFormatSizes, 128, 2, {.clip_value = 0.25}};
  const Cut by_norm{{100, 0, 1025, 4097}, 0, 2, {.clip_norm = ClipGradNorm{.max_norm = 0.5}}};
  for (const RuleCase& rule : one_case_with_l1_per_kernel()) {
    if (rule.rule.name() != "SGD" && rule.name != "AdamW_amsgrad_coupled") continue;
    for (const FormatCase& format : all_format_cases()) {
      SCOPED_TRACE(rule.name + " in " + format.name);
      for (const Cut& cut : {by_value, by_norm}) {
        ASSERT_EQ(after_steps(rule, format, Device::cpu(), cut), after_steps(rule, format, kGpu, cut));
      }
    }
  }
}

TEST_F(CudaFormats, GradientsThatAreNotFiniteSkipTheStepAndAreNamed) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    expect_skipped(one_case_per_layout().front(), format, kGpu);
  }
}

TEST_F(CudaFormats, TrainingContinuesFromAStateDictBitForBit) {
  const RuleCase adamw = last_case_of("AdamW");
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    expect_resumed(adamw, format, kGpu, 1);
    if (HasFatalFailure()) return;
  }
}

TEST_F(CudaFormats, MixedFormatsHaveTheBitsOfTheCpu) {
  const std::vector<RuleCase> rules = one_case_per_layout();
  for (const char* const name : {"bf16_master", "all_bf16_stochastic", "compact", "f32_q8"}) {
    SCOPED_TRACE(name);
    const FormatCase& format = format_case(name);
    ASSERT_EQ(together(rules.back(), format, Device::cpu()), together(rules.back(), format, kGpu));
  }
}

TEST_F(CudaFormats, AllFormatsInOneOptimizerHaveTheBitsOfTheCpu) {
  const RuleCase rule = last_case_of("AdamW");
  const auto after_steps = [&](Device device) {
    const MixedFormats mix(all_format_cases(), device);
    std::vector<Optimizer> one;
    one.push_back(rule.make(mix.parameters(), {.seed = 7}));
    return mix.after_steps(one);
  };
  ASSERT_EQ(after_steps(Device::cpu()), after_steps(kGpu));
}

TEST_F(CudaFormats, EachFormatInUseTakesOneLaunch) {
  const FormatModel wide(format_cases()[0], kGpu, {100, 200}), low(format_cases()[1], kGpu, {100, 200});
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
  EXPECT_EQ(graph.kernel_nodes(), 4);  // norm, prepare, and one update for each of two formats
  EXPECT_EQ(graph.node_count(), 4);
}

}  // namespace
}  // namespace onepass::test
