// settle_test.cpp - states of dead parameters settle in the same steps and to the same bits as on the CPU.
#include "kernels/cuda_test.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaSettle : public CudaTest {};

/// Gradients between 2^-128 and 2^-90 in two steps, then zeros: step 16 settles.
std::vector<float> tiny(std::int64_t numel, int step) {
  std::vector<float> values(static_cast<std::size_t>(numel), 0.0f);
  for (std::size_t i = 0; step <= 2 && i < values.size(); ++i) {
    const std::uint64_t key = i * 31 + static_cast<std::uint64_t>(step);
    values[i] = static_cast<float>(std::ldexp(1.5 - uniform(key), static_cast<int>(mix(key) % 38) - 128));
  }
  return values;
}

std::vector<std::byte> after_steps(const RuleCase& rule, const FormatCase& format, Device device, int steps) {
  const std::vector<std::int64_t> sizes{257};
  const FormatModel model(format, device, sizes);
  for (std::size_t t = 0; t < sizes.size(); ++t) model.value(t).write(tiny(sizes[t], 1));
  Optimizer optimizer = rule.make(model.parameters(), {.chunk_size = 128,
                                                       .storage = format.low(),
                                                       .float32_storage = format.wide(),
                                                       .seed = 7,
                                                       .ema = EMA{.decay = 0.9}});
  for (int step = 1; step <= steps; ++step) {
    for (std::size_t t = 0; t < sizes.size(); ++t) model.grad(t).write(tiny(sizes[t], step));
    optimizer.step();
  }
  return all_bytes(model, optimizer.state_dict());
}

TEST_F(CudaSettle, DeadParametersHaveTheBitsOfTheCpu) {
  Sample sample;
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const char* const name : {"float32", "all_bf16_stochastic", "compact"}) {
      if (!sample.takes_next()) continue;
      SCOPED_TRACE(rule.name + " in " + name);
      const FormatCase& format = format_case(name);
      ASSERT_EQ(after_steps(rule, format, Device::cpu(), 20), after_steps(rule, format, kGpu, 20));
    }
  }
}

// The test above sees states settle: without step 16 they have other bits.
TEST(SettleModel, StepSixteenSettles) {
  const FormatCase& format = format_case("float32");
  const FormatModel model(format, Device::cpu(), {64});
  Optimizer optimizer(SGD{.momentum = 0.9}, model.parameters());
  model.grad(0).write(tiny(64, 1));
  optimizer.step();
  model.grad(0).write(tiny(64, 3));
  const auto nonzero = [&] {
    const auto* const buffer = static_cast<const float*>(optimizer.state("t0", "momentum_buffer").data);
    return std::count_if(buffer, buffer + 64, [](float x) { return x != 0.0f; });
  };
  for (int step = 2; step <= 15; ++step) optimizer.step();
  const auto before = nonzero();
  optimizer.step();
  EXPECT_LT(nonzero(), before);
}

}  // namespace
}  // namespace onepass::test
