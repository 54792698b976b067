// float32_states_test.cpp - a rule that keeps a state in float32 has the bits of the CPU in every format.
#include "kernels/cuda_test.hpp"
#include "support/checkpoint/files.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/given_memory.hpp"
#include "support/formats/sharded.hpp"
#include "support/formats/two_speeds.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaFloat32States : public CudaTest {};

std::vector<RuleCase> rules() {
  return {rule_case("both", TwoSpeeds{.weight_decay = 0.1}),
          rule_case("slow_alone", TwoSpeeds{.slow_alone = true})};
}

Options options_of(const FormatCase& format) {
  return {.chunk_size = 128, .storage = format.low(), .float32_storage = format.wide(), .seed = 7};
}

TEST_F(CudaFloat32States, HaveTheBitsOfTheCpuInEveryFormat) {
  Sample sample;
  for (const RuleCase& rule : rules()) {
    for (const FormatCase& format : all_format_cases()) {
      if (!sample.takes_next()) continue;
      const auto after_steps = [&](Device device) {
        const FormatModel model(format, device, kFormatSizes);
        Optimizer optimizer = rule.make(model.parameters(), options_of(format));
        train(model, optimizer, 1, 3);
        EXPECT_TRUE(model.intact());
        return all_bytes(model, optimizer.state_dict());
      };
      ASSERT_EQ(after_steps(Device::cpu()), after_steps(kGpu)) << rule.name << " in " << format.name;
    }
  }
}

// Step 16 settles the elements whose gradients stay 0.
TEST_F(CudaFloat32States, SettleAsOnTheCpu) {
  for (const char* const name : {"float32", "f32_bf16", "all_bf16_grad32", "compact_grad32"}) {
    for (const RuleCase& rule : rules()) {
      const auto after_steps = [&](Device device) {
        const FormatModel model(format_case(name), device, {100});
        Optimizer optimizer = rule.make(model.parameters(), options_of(format_case(name)));
        std::vector<float> gradient(100, 0x1p-90f);
        for (int step = 1; step <= 16; ++step) {
          for (std::size_t i = 0; i < 100; i += 3) gradient[i] = step == 1 ? 0x1p-90f : 0.0f;
          model.grad(0).write(gradient);
          optimizer.step();
        }
        return all_bytes(model, optimizer.state_dict());
      };
      ASSERT_EQ(after_steps(Device::cpu()), after_steps(kGpu)) << rule.name << " in " << name;
    }
  }
}

TEST_F(CudaFloat32States, OfShardsInMemoryOfTheCallerHaveTheBitsOfTheCpu) {
  constexpr std::int64_t kRows = 5, kColumns = 77;
  const Places cut = cut_by_columns(kRows, kColumns, 3, 1, 5);
  for (const char* const name : {"all_bf16_stochastic", "compact", "f32_q8"}) {
    const FormatCase& format = format_case(name);
    const RuleCase rule = rules()[0];
    Sharded on_cpu(rule, format, Device::cpu(), cut, options_of(format)),
        on_gpu(rule, format, kGpu, cut, options_of(format), true);
    for (int step = 1; step <= 2; ++step) on_cpu.step(step), on_gpu.step(step);
    ASSERT_EQ(on_cpu.elements(), on_gpu.elements()) << name;
    GivenTrial trial{rule, format, Device::cpu(), options_of(format), true};
    const Trained wanted = train_given(trial, nullptr);
    trial.device = kGpu;
    ASSERT_EQ(wanted, train_given(trial, &choices_of_given()[0])) << name;
  }
}

TEST_F(CudaFloat32States, GoOnFromACheckpointOfTheCpu) {
  for (const char* const name : {"all_bf16_stochastic", "compact", "f32_q8"}) {
    SCOPED_TRACE(name);
    const Folder folder;
    const FormatCase& format = format_case(name);
    const FormatModel cpu(format, Device::cpu(), {100, 33}), gpu(format, kGpu, {100, 33});
    Optimizer saved = rules()[0].make(cpu.parameters(), options_of(format)),
              loaded = rules()[0].make(gpu.parameters(), options_of(format));
    train(cpu, saved, 1, 2);
    save(folder / "cpu", saved);
    (void)load(folder / "cpu", loaded);
    save(folder / "gpu", loaded);
    EXPECT_EQ(bytes_of(folder / "cpu"), bytes_of(folder / "gpu"));
    train(cpu, saved, 3, 4);
    train(gpu, loaded, 3, 4);
    EXPECT_EQ(all_bytes(cpu, saved.state_dict()), all_bytes(gpu, loaded.state_dict()));
  }
}

}  // namespace
}  // namespace onepass::test
