// float32_states_test.cpp - a state that its rule keeps in float32 (kFloat32) has 4 bytes and float32's
// precision in every format, beside states that the format narrows.
#include <gtest/gtest.h>

#include <cmath>

#include "support/formats/format_resume.hpp"
#include "support/formats/given_memory.hpp"
#include "support/formats/sharded.hpp"
#include "support/formats/two_speeds.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

const RuleCase& both() {
  static const RuleCase rule = rule_case("both", TwoSpeeds{.weight_decay = 0.1});
  return rule;
}
const RuleCase& slow_alone() {
  static const RuleCase rule = rule_case("slow_alone", TwoSpeeds{.slow_alone = true});
  return rule;
}

std::vector<Isa> all_isas() {
  std::vector<Isa> all;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (isa_available(isa)) all.push_back(isa);
  }
  return all;
}

Options options_of(const FormatCase& format, Isa isa = Isa::best) {
  return {
      .chunk_size = 128, .isa = isa, .storage = format.low(), .float32_storage = format.wide(), .seed = 7};
}

std::vector<float> slow_of(const Optimizer& optimizer, std::size_t numel) {
  return decoded_state(state_of(optimizer.state_dict().parameters[0], "slow_avg"), numel);
}

class Float32States : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, Float32States, testing::ValuesIn(all_format_cases()), by_name);

/// Writes the gradients of a step. Those of every fifth element are 0 from the second step on.
void write_gradients(const FormatModel& model, int step) {
  std::vector<float> gradient(static_cast<std::size_t>(model.grad(0).tensor().numel));
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const bool is_dead = step > 1 && i % 5 == 0;
    gradient[i] = is_dead ? 0.0f : std::sin(0.7f * static_cast<float>(i) + static_cast<float>(step));
  }
  model.grad(0).write(gradient);
}

// Each step rounds the average twice, by 2^-24 of the gradients so far at most. Rounded to bfloat16, to
// nearest, it would never leave 0.02% of the first gradient; with 8 bits it would be off by 1%. Step 16
// settles the other states of the elements whose gradients stay 0.
TEST_P(Float32States, AreTheAveragesOfFloat64) {
  constexpr std::size_t kCount = 1100;
  constexpr int kSteps = 20;
  for (const RuleCase& rule : {both(), slow_alone()}) {
    for (const Isa isa : all_isas()) {
      SCOPED_TRACE(testing::Message() << rule.name << " by " << to_string(isa));
      const FormatModel model(GetParam(), Device::cpu(), {std::int64_t{kCount}});
      Optimizer optimizer = rule.make(model.parameters(), options_of(GetParam(), isa));
      std::vector<double> average(kCount), magnitude(kCount);
      for (int step = 1; step <= kSteps; ++step) {
        write_gradients(model, step);
        const std::vector<float> gradient = model.grad(0).floats();
        for (std::size_t i = 0; i < kCount; ++i) {
          average[i] += 1e-4 * (gradient[i] - average[i]);
          magnitude[i] += 1e-4 * std::abs(gradient[i]);
        }
        optimizer.step();
      }
      const std::vector<float> slow = slow_of(optimizer, kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        ASSERT_LE(std::abs(slow[i] - average[i]), 2 * kSteps * 0x1p-24 * magnitude[i]) << "element " << i;
      }
    }
  }
}

TEST_P(Float32States, HaveTheSameBitsByEveryInstructionSetWithTheOthers) {
  for (const RuleCase& rule : {both(), slow_alone()}) {
    const auto after_steps = [&](Isa isa) {
      const FormatModel model(GetParam(), Device::cpu(), with_a_large_one());
      Optimizer optimizer = rule.make(model.parameters(), options_of(GetParam(), isa));
      train(model, optimizer, 1, 17);
      EXPECT_TRUE(model.intact());
      return all_bytes(model, optimizer.state_dict());
    };
    const std::vector<std::byte> baseline = after_steps(Isa::baseline);
    for (const Isa isa : all_isas())
      EXPECT_EQ(baseline, after_steps(isa)) << rule.name << " by " << to_string(isa);
  }
}

TEST_P(Float32States, SettleAtStepSixteen) {
  if (GetParam().grad != DType::float32) return;  // the gradient is too small for 16 bits
  for (const bool alone : {false, true}) {
    const FormatModel model(GetParam(), Device::cpu(), {40});
    Optimizer optimizer{TwoSpeeds{.beta3 = 0.5, .slow_alone = alone}, model.parameters(),
                        options_of(GetParam())};
    model.grad(0).write(std::vector<float>(40, 0x1p-104f));
    optimizer.step();
    model.grad(0).write(std::vector<float>(40, 0.0f));
    for (int step = 2; step <= 15; ++step) optimizer.step();
    EXPECT_EQ(slow_of(optimizer, 40), std::vector<float>(40, 0x1p-119f));
    optimizer.step();
    EXPECT_EQ(slow_of(optimizer, 40), std::vector<float>(40, 0.0f));
  }
}

TEST_P(Float32States, TakeFourBytesInEveryFigureOfMemory) {
  const FormatModel model(GetParam(), Device::cpu(), {96});
  const Options options = options_of(GetParam());
  const auto required = Optimizer::required_memory(both().rule, model.parameters(), options);
  Optimizer optimizer = both().make(model.parameters(), options);
  EXPECT_EQ(optimizer.state("t0", "slow_avg").dtype, DType::float32);
  EXPECT_EQ(state_of(optimizer.state_dict().parameters[0], "slow_avg").bytes.size(), 4u * 96);
  EXPECT_TRUE(refused([&] { (void)optimizer.state("t0", "slow_avg.scales"); }, {"no state"}));

  const std::vector<StreamBytes> memory = optimizer.memory(), traffic = optimizer.traffic();
  constexpr double kBytes[] = {4.0 * 96, 2.0 * 96, 3.0 * storage::Quantized8::kBytesOfBlock};
  const double narrow = kBytes[static_cast<std::size_t>(GetParam().storage.states)];
  for (const auto& [name, bytes] :
       {std::pair{"fast_avg", narrow}, {"slow_avg", 4.0 * 96}, {"avg_sq", narrow}}) {
    const auto is_named = [&](const auto& stream) { return stream.name == name; };
    EXPECT_EQ(std::ranges::find_if(memory, is_named)->bytes, bytes) << name;
    EXPECT_EQ(std::ranges::find_if(traffic, is_named)->bytes, 2 * bytes) << name;
    double wanted = 0.0;
    for (const RequiredStream& stream : required[0].streams) {
      if (stream.name.starts_with(name)) wanted += static_cast<double>(stream.bytes);
    }
    EXPECT_EQ(wanted, bytes) << name;
  }
}

TEST_P(Float32States, MayLieInMemoryOfTheCaller) {
  for (const RuleCase& rule : {both(), slow_alone()}) {
    expect_bits_of_own_memory({rule, GetParam(), Device::cpu(), options_of(GetParam())}, true);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Float32States, GoOnFromAStateDict) {
  for (const RuleCase& rule : {both(), slow_alone()}) {
    expect_resumed(rule, GetParam(), Device::cpu(), 3);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Float32States, OfShardsHaveTheBitsOfTheWhole) {
  constexpr std::int64_t kRows = 9, kColumns = 77;
  for (const RuleCase& rule : {both(), slow_alone()}) {
    for (const Isa isa : all_isas()) {
      for (const Places& cut :
           {cut_by_elements(kRows * kColumns, 5, 1, 3), cut_by_columns(kRows, kColumns, 4, 1, 5)}) {
        SCOPED_TRACE(testing::Message() << rule.name << " by " << to_string(isa));
        Sharded whole(rule, GetParam(), Device::cpu(), {{kRows * kColumns, 0}}, options_of(GetParam(), isa));
        Sharded shards(rule, GetParam(), Device::cpu(), cut, options_of(GetParam(), isa));
        for (int step = 1; step <= 3; ++step) whole.step(step), shards.step(step);
        ASSERT_TRUE(equal_elements(whole, shards, GetParam()));
      }
    }
  }
}

TEST(LongFloat32States, AreTakenBesideEightBits) {
  std::vector<float> value(64), grad(64);
  const std::vector<Parameter> parameters{
      {.name = "w", .value = value, .grad = grad, .storage = Storage{.states = States::quantized8}}};
  Optimizer(TwoSpeeds{.beta3 = 0.99999}, parameters);
  EXPECT_TRUE(refused([&] { Optimizer(TwoSpeeds{.beta1 = 0.995, .beta3 = 0.99999}, parameters); },
                      {"\"w\" asks for states in 8 bits", "fast_avg up to beta1 = 0.99"}));
}

}  // namespace
}  // namespace onepass::test
