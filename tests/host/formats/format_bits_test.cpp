// format_bits_test.cpp - in every format, instruction set, threads, chunks, sharding, accumulation and
// resuming from a StateDict change no bit, and stochastic rounding keeps the mean.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/formats/format_model.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

class FormatBits : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, FormatBits, testing::ValuesIn(all_format_cases()), by_name);

constexpr int kSteps = 5;

Options options_of(const FormatCase& format) {
  return {.storage = format.low(),
          .float32_storage = format.wide(),
          .seed = 11,
          .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16}};
}

/// Prunes as a caller may: writes zeros of both signs, and leaves masters and remainders as they are.
void zero_every_third(const FormatModel& model) {
  for (const Parameter& parameter : model.parameters()) {
    const std::int64_t size = size_of(parameter.value.dtype);
    auto* const bytes = static_cast<std::byte*>(parameter.value.data);
    for (std::int64_t i = 0; i < parameter.value.numel; i += 3) {
      std::fill_n(bytes + i * size, size, std::byte{0});
      bytes[(i + 1) * size - 1] = std::byte{i % 2 == 0 ? std::uint8_t{0} : std::uint8_t{0x80}};
    }
  }
}

std::vector<std::byte> after_steps(const RuleCase& rule, const FormatCase& format, const Options& options) {
  const FormatModel model(format, Device::cpu(), kFormatSizes);
  Optimizer optimizer = rule.make(model.parameters(), options);
  train(model, optimizer, 1, kSteps);
  zero_every_third(model);
  train(model, optimizer, kSteps + 1, kSteps + 1);
  return all_bytes(model, optimizer.state_dict());
}

TEST_P(FormatBits, NeitherInstructionSetNorThreadsNorChunksChangeThem) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Options options = options_of(GetParam());
    options.isa = Isa::baseline;
    options.threads = 1;
    const std::vector<std::byte> expected = after_steps(rule, GetParam(), options);
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      options.isa = isa;
      options.threads = 3;
      options.chunk_size = isa == Isa::avx2 ? 64 : 576;
      ASSERT_EQ(expected, after_steps(rule, GetParam(), options)) << to_string(isa);
    }
  }
}

TEST_P(FormatBits, ResumingFromAStateDictGivesTheSameBits) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    expect_resumed(rule, GetParam(), Device::cpu(), kSteps);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FormatBits, ParametersAddedLaterStartAtTheirValues) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 77});
  std::vector<Parameter> early = model.parameters();
  const std::vector<Parameter> late{early.back()};
  early.pop_back();
  Optimizer optimizer{AdamW{.lr = 0.0, .weight_decay = 0.0}, early, options_of(GetParam())};
  optimizer.add_parameters(late);
  const std::vector<std::byte> before = model.value(1).bytes();
  model.draw(1, 30);
  optimizer.set_nonfinite(NonFinite::propagate);
  optimizer.step();
  // If a master had not started at its parameter's value, a step with lr = 0 would show it.
  EXPECT_EQ(before, model.value(1).bytes());
}

TEST_P(FormatBits, GradientsAccumulateInFloat32) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 1, 517}),
      twice(GetParam(), Device::cpu(), {100, 1, 517});
  Options options = options_of(GetParam());
  Optimizer plain{SGD{.lr = 0.5}, twice.parameters(), options};
  options.accumulates_gradients = true;
  Optimizer optimizer{SGD{.lr = 0.5}, model.parameters(), options};
  model.draw(1, 30);
  twice.draw(1, 30);
  for (int i = 0; i < 4; ++i) optimizer.accumulate();  // their mean is the gradient, exactly
  optimizer.step();
  plain.step();
  EXPECT_EQ(all_bytes(model, optimizer.state_dict()), all_bytes(twice, plain.state_dict()));
}

/// The test takes 320 steps of a sixteenth of the last place. Each step's error has a variance of 15/256 of
/// that place's square, so the mean of 1,024 elements has a deviation of 5.3e-4. The errors of neighbours
/// cancel sooner than independent ones.
TEST(StochasticRounding, StepsSmallerThanTheLastPlaceCountInTheMean) {
  constexpr std::int64_t kCount = 1024;
  for (const Rounding rounding : {Rounding::stochastic, Rounding::nearest}) {
    std::vector<std::uint16_t> value(kCount, storage::BFloat16::encode(1.0f));
    std::vector<float> grad(kCount, 1.0f);
    const Parameter parameter{.name = "w", .value = {value.data(), DType::bfloat16, kCount}, .grad = grad};
    Optimizer optimizer{
        SGD{.lr = 0x1p-12}, std::vector{parameter}, {.storage = {.rounding = rounding}, .seed = 2}};
    for (int step = 0; step < 320; ++step) optimizer.step();
    double sum = 0, squares = 0;
    for (const std::uint16_t element : value) {
      const double x = storage::BFloat16::decode(element);
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kCount, deviation = std::sqrt(squares / kCount - mean * mean);
    if (rounding == Rounding::nearest) {
      EXPECT_EQ(mean, 1.0);
    } else {
      EXPECT_NEAR(mean, 1.0 - 320 * 0x1p-12, 5 * 5.3e-4);
      EXPECT_NEAR(deviation, 0x1p-8 * std::sqrt(320 * 15.0 / 256.0), 0.2 * 0.017);
    }
  }
}

TEST(StochasticRounding, ShardsDrawTheBitsOfTheWhole) {
  const FormatCase& format = format_cases()[3];
  const FormatModel whole(format, Device::cpu(), {1100});
  const FormatModel shards(format, Device::cpu(), {1100});
  whole.draw(1, 30);
  shards.draw(1, 30);
  Optimizer one{SGD{.lr = 1e-3}, whole.parameters(), options_of(format)};
  one.step();
  for (const std::int64_t begin : {0, 544}) {
    const std::int64_t numel = begin == 0 ? 544 : 556;
    Parameter shard = shards.parameters()[0];
    for (Tensor* tensor : {&shard.value, &shard.grad}) {
      tensor->data = static_cast<std::byte*>(tensor->data) + begin * 2;
      tensor->numel = numel;
    }
    shard.first = begin;
    Optimizer{SGD{.lr = 1e-3}, std::vector{shard}, options_of(format)}.step();
  }
  EXPECT_EQ(whole.value(0).bytes(), shards.value(0).bytes());
}

// Without eps, the step of an element whose gradient and states are 0 is 0 / 0. The CPU loop steps a tensor's
// last block in full, and the elements beyond the tensor's end are such elements.
TEST(Compact, ElementsBeyondTheTensorDoNotAffectItsScale) {
  constexpr std::int64_t kCount = 33;
  std::vector<std::uint16_t> value(kCount, storage::BFloat16::encode(1.0f));
  std::vector<float> grad(kCount, 0.5f);
  const Parameter parameter{.name = "w", .value = {value.data(), DType::bfloat16, kCount}, .grad = grad};
  Optimizer optimizer{RMSProp{.lr = 1e-2, .eps = 0.0, .momentum = 0.9},
                      std::vector{parameter},
                      {.storage = {.master = Master::remainder8, .states = States::quantized8}}};
  for (int step = 0; step < 3; ++step) optimizer.step();
  for (const std::uint16_t element : value) EXPECT_LT(storage::BFloat16::decode(element), 1.0f);
}

// The low word of the counter overflows between two draws that the CPU loop computes together.
TEST(StochasticRounding, DrawsAreCountedIn48Bits) {
  const FormatCase& format = format_cases()[3];
  constexpr std::int64_t kFirst = (std::int64_t{1} << 40) - 32 * 21;
  const FormatModel model(format, Device::cpu(), {1100});
  model.draw(1, 30);
  const std::vector<float> before = model.value(0).floats(), gradient = model.grad(0).floats();
  Parameter parameter = model.parameters()[0];
  parameter.first = kFirst;
  Optimizer{SGD{.lr = 1e-3},
            std::vector{parameter},
            {.storage = format.low(), .float32_storage = format.wide(), .seed = 5}}
      .step();
  const std::vector<float> after = model.value(0).floats();
  const reference::Place drawn{5, reference::kRounding, 0, number_of(parameter.name)};
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::uint64_t block = (static_cast<std::uint64_t>(kFirst) + i) / 32;
    const std::uint32_t noise = reference::noise(reference::half(drawn, block), i % 32);
    const float moved = std::fma(-1e-3f, gradient[i], before[i]);
    const auto expected = storage::BFloat16::encode_stochastic(moved, noise);
    ASSERT_TRUE(same_bits(storage::BFloat16::decode(expected), after[i])) << i;
  }
}

}  // namespace
}  // namespace onepass::test
