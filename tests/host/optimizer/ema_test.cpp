// ema_test.cpp - the moving average (EMA) and the 16-bit copy of a parameter follow every step that changes
// it.
#include "onepass/ema.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 6;

/// The decay of step `t`, computed from its definition.
double decay_of(const EMA& ema, int t) {
  if (ema.bias_correction) return 1.0 - (1.0 - ema.decay) / (1.0 - std::pow(ema.decay, t));
  return ema.warmup ? std::min(ema.decay, (1.0 + t) / (10.0 + t)) : ema.decay;
}

class Average : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, Average, testing::ValuesIn(all_format_cases()), by_name);

/// The weight 1 - decay is rounded to float32 and the interpolation rounds twice. The error stays below four
/// half units in the last place of the larger operand.
double tolerance(double before, double param) {
  return 4 * 0x1p-24 * std::max(std::fabs(before), std::fabs(param)) + 0x1p-148;
}

TEST_P(Average, MatchesTheFloat64AverageOfTheStoredParameter) {
  for (const EMA& ema : {EMA{.decay = 0.9}, EMA{.decay = 0.999, .warmup = true},
                         EMA{.decay = 0.99, .bias_correction = true}}) {
    const FormatModel model(GetParam(), Device::cpu(), with_a_large_one());
    Optimizer optimizer{Adam{.lr = 0.01},
                        model.parameters(),
                        {.chunk_size = ema.warmup ? 0 : 64,  // averages in ranges of 2,048 elements, or of 64
                         .storage = GetParam().low(),
                         .float32_storage = GetParam().wide(),
                         .seed = 7,
                         .ema = ema}};
    for (int t = 1; t <= kSteps; ++t) {
      const StateDict before = optimizer.state_dict();
      model.draw(t, 30);
      optimizer.step();
      const StateDict after = optimizer.state_dict();
      for (std::size_t i = 0; i < model.size(); ++i) {
        const std::vector<float> param = decoded_param(GetParam(), model.value(i), after.parameters[i]);
        const std::vector<float> was = decoded_state(state_of(before.parameters[i], "ema"), param.size());
        const std::vector<float> is = decoded_state(state_of(after.parameters[i], "ema"), param.size());
        for (std::size_t e = 0; e < param.size(); ++e) {
          if (!std::isfinite(param[e]) || !std::isfinite(was[e])) {
            ASSERT_FALSE(std::isfinite(is[e]));
            continue;
          }
          const double decay = decay_of(ema, t);
          ASSERT_NEAR(is[e], decay * was[e] + (1 - decay) * param[e], tolerance(was[e], param[e]));
        }
      }
    }
  }
}

TEST_P(Average, InBfloat16IsRoundedWithRandomBitsOfItsOwn) {
  const EMA ema{.decay = 0.75, .dtype = DType::bfloat16};
  const FormatModel model(GetParam(), Device::cpu(), with_a_large_one());
  Optimizer optimizer{
      SGD{.lr = 0.01},
      model.parameters(),
      {.storage = GetParam().low(), .float32_storage = GetParam().wide(), .seed = 7, .ema = ema}};
  for (int t = 1; t <= kSteps; ++t) {
    const StateDict before = optimizer.state_dict();
    model.draw(t, 30);
    optimizer.step();
    const StateDict after = optimizer.state_dict();
    for (std::size_t i = 0; i < model.size(); ++i) {
      const std::vector<float> param = decoded_param(GetParam(), model.value(i), after.parameters[i]);
      std::vector<float> expected = decoded_state(state_of(before.parameters[i], "ema"), param.size());
      const reference::Place drawn{7, reference::kEma, static_cast<std::uint32_t>(t - 1),
                                   number_of(tensor_name(static_cast<int>(i)))};
      for (std::size_t e = 0; e < param.size(); ++e) {
        const std::uint32_t noise = reference::noise(reference::half(drawn, e / 32), e % 32);
        const float moved = std::fma(0.25f, param[e], std::fma(-0.25f, expected[e], expected[e]));
        expected[e] = storage::BFloat16::decode(storage::BFloat16::encode_stochastic(moved, noise));
      }
      ASSERT_TRUE(equal_bits(expected, decoded_state(state_of(after.parameters[i], "ema"), param.size())));
    }
  }
}

TEST_P(Average, StartsAtTheParameter) {
  const FormatModel model(GetParam(), Device::cpu(), {100});
  Optimizer optimizer{SGD{},
                      model.parameters(),
                      {.storage = GetParam().low(), .float32_storage = GetParam().wide(), .ema = EMA{}}};
  const StateDict dict = optimizer.state_dict();
  EXPECT_TRUE(equal_bits(model.value(0).floats(), decoded_state(state_of(dict.parameters[0], "ema"), 100)));
}

/// The sum of decay^(t - i) * values[i - 1] over i = 1..t, divided by the sum of the weights.
double weighted_mean(const std::vector<float>& values, double decay) {
  double sum = 0, weights = 0;
  for (const float value : values) {
    sum = decay * sum + value;
    weights = decay * weights + 1;
  }
  return sum / weights;
}

TEST(BiasCorrection, GivesTheWeightedMeanOfTheValuesAfterTheStart) {
  for (const double decay : {0.0, 0.5, 0.999, 1 - 1e-6, 1 - 1e-9, 1.0}) {
    std::vector<float> value{1000.0f}, grad{999.0f};
    Optimizer optimizer{SGD{.lr = 1.0},
                        std::vector<Parameter>{{.name = "w", .value = value, .grad = grad}},
                        {.ema = EMA{.decay = decay, .bias_correction = true}}};
    std::vector<float> values;
    for (int t = 1; t <= 300; ++t) {
      optimizer.step();
      values.push_back(value[0]);
      grad[0] = static_cast<float>(t % 7 - 3) / 4;
      const float average = *static_cast<float*>(optimizer.state("w", "ema").data);
      ASSERT_NEAR(average, weighted_mean(values, decay), t == 1 ? 0.0 : 2e-6)
          << "decay " << decay << ", step " << t;
    }
  }
}

TEST(BiasCorrection, ContinuesFromAStateDictBitForBit) {
  const FormatCase& format = format_case("bf16_master");
  const Options options{.storage = format.low(),
                        .float32_storage = format.wide(),
                        .seed = 3,
                        .ema = EMA{.bias_correction = true}};
  const FormatModel whole(format, Device::cpu(), {100}), parted(format, Device::cpu(), {100});
  Optimizer steady{Adam{}, whole.parameters(), options}, first{Adam{}, parted.parameters(), options};
  const auto train = [](const FormatModel& model, Optimizer& optimizer, int step, int last) {
    for (; step <= last; ++step) {
      model.draw_finite(step);
      optimizer.step();
    }
  };
  train(whole, steady, 1, 6);
  train(parted, first, 1, 3);
  Optimizer second{Adam{}, parted.parameters(), options};
  second.load_state_dict(first.state_dict());
  train(parted, second, 4, 6);
  EXPECT_EQ(all_bytes(whole, steady.state_dict()), all_bytes(parted, second.state_dict()));
}

/// Every upper half of a float32, with the lower halves around which rounding changes direction: first in
/// order, then shuffled, so that numbers of different kinds are neighbours.
std::vector<float> numbers_to_round() {
  std::vector<float> numbers;
  for (std::uint32_t upper = 0; upper < 0x10000u; ++upper) {
    for (const std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      numbers.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  std::vector<float> mixed = numbers;
  std::shuffle(mixed.begin(), mixed.end(), std::mt19937(5));
  numbers.insert(numbers.end(), mixed.begin(), mixed.end());
  return numbers;
}

TEST(Followers, CopyRoundsEveryNumberToNearest) {
  std::vector<float> value = numbers_to_round();
  std::vector<std::uint16_t> expected(value.size()), copy(value.size());
  std::ranges::transform(value, expected.begin(), [](float x) { return storage::BFloat16::encode(x); });
  const std::vector<float> grad(value.size(), 1.0f);
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (!isa_available(isa)) continue;
    const Tensor copy_tensor{copy.data(), DType::bfloat16, std::ssize(copy)};
    std::vector<float> stepped = value, gradient = grad;
    Optimizer optimizer{
        SGD{.lr = 0.0},
        std::vector<Parameter>{{.name = "w", .value = stepped, .grad = gradient, .copy = copy_tensor}},
        {.isa = isa}};
    optimizer.step();
    ASSERT_EQ(expected, copy) << to_string(isa);
  }
}

TEST(Followers, StayUnchangedWhenTheParameterDoes) {
  std::vector<float> value(10, 1.0f), grad(10, 1.0f), other(10, 2.0f);
  std::vector<std::uint16_t> copy(10, 0x1234), other_copy(10, 0x1234);
  const Tensor copy_tensor{copy.data(), DType::bfloat16, 10},
      other_copy_tensor{other_copy.data(), DType::bfloat16, 10};
  Optimizer optimizer{
      SGD{.lr = 0.5},
      std::vector<Parameter>{{.name = "moves", .value = value, .grad = grad, .copy = copy_tensor},
                             {.name = "stays", .value = other, .copy = other_copy_tensor}},
      {.ema = EMA{.decay = 0.5}}};
  float found_inf = 1.0f;
  optimizer.set_found_inf(&found_inf);
  optimizer.step();
  EXPECT_EQ(copy[0], 0x1234);
  EXPECT_EQ(static_cast<float*>(optimizer.state("moves", "ema").data)[0], 1.0f);
  found_inf = 0.0f;
  optimizer.step();
  EXPECT_EQ(copy[9], storage::BFloat16::encode(0.5f));
  EXPECT_EQ(static_cast<float*>(optimizer.state("moves", "ema").data)[9], 0.75f);
  EXPECT_EQ(other_copy[0], 0x1234);
  EXPECT_EQ(static_cast<float*>(optimizer.state("stays", "ema").data)[0], 2.0f);
}

TEST(Copies, AreTheValueRoundedToTheNearest) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const std::vector<std::int64_t> sizes = with_a_large_one();
    const FormatModel model(format_cases()[0], Device::cpu(), sizes);
    std::vector<FormatBuffer> copies;
    std::vector<Parameter> parameters = model.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      copies.emplace_back(Device::cpu(), dtype, sizes[i], static_cast<int>(i % 5));
      parameters[i].copy = copies.back().tensor();
    }
    Optimizer optimizer{AdamW{}, parameters, {.chunk_size = dtype == DType::bfloat16 ? 64 : 0}};
    for (int t = 1; t <= kSteps; ++t) {
      model.draw(t, 30);
      optimizer.step();
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
      EXPECT_EQ(encoded(dtype, model.value(i).floats()), copies[i].bytes())
          << to_string(dtype) << " of " << sizes[i];
      EXPECT_TRUE(copies[i].intact());
    }
  }
}

TEST(Footprint, ListsTheAverageAndTheCopy) {
  std::vector<float> value(64), grad(64);
  std::vector<std::uint16_t> copy(64);
  const Parameter parameter{
      .name = "w", .value = value, .grad = grad, .copy = {copy.data(), DType::float16, 64}};
  const Optimizer optimizer{SGD{}, std::vector{parameter}, {.ema = EMA{.dtype = DType::bfloat16}}};
  std::vector<std::string> memory, traffic;
  for (const StreamBytes& stream : optimizer.memory())
    memory.push_back(stream.name + " " + std::to_string(static_cast<int>(stream.bytes)));
  for (const StreamBytes& stream : optimizer.traffic())
    traffic.push_back(stream.name + " " + std::to_string(static_cast<int>(stream.bytes)));
  EXPECT_EQ(memory, (std::vector<std::string>{"param 256", "grad 256", "ema 128", "copy 128"}));
  EXPECT_EQ(traffic, (std::vector<std::string>{"param 512", "grad 256", "ema 256", "copy 128"}));
}

TEST(BadFollowers, BadAveragesAndCopiesAreRefused) {
  std::vector<float> value(10), grad(10);
  std::vector<std::uint16_t> copy(20);
  const auto make = [&](const EMA& ema, const Tensor& copy_tensor, const Tensor& of) {
    const Parameter parameter{.name = "w", .value = of, .grad = grad, .copy = copy_tensor};
    Optimizer(SGD{}, std::vector{parameter}, {.ema = ema});
  };
  const auto refuses = [&](const EMA& ema, const Tensor& copy_tensor,
                           std::initializer_list<std::string> parts) {
    return refused([&] { make(ema, copy_tensor, value); }, parts);
  };
  const Tensor good{copy.data(), DType::bfloat16, 10};
  EXPECT_TRUE(refuses({.decay = 1.5}, good, {"Optimizer", "EMA.decay", "1.5"}));
  EXPECT_TRUE(refuses({.decay = std::nan("")}, good, {"EMA.decay", "nan"}));
  EXPECT_TRUE(refuses({.dtype = DType::float16}, good, {"EMA.dtype", "float16"}));
  EXPECT_TRUE(
      refuses({.warmup = true, .bias_correction = true}, good, {"EMA.warmup", "EMA.bias_correction"}));
  EXPECT_TRUE(
      refuses({}, {copy.data(), DType::float32, 5}, {"copy of \"w\"", "float32", "bfloat16 or float16"}));
  EXPECT_TRUE(refuses({}, {copy.data(), DType::float16, 9}, {"copy of \"w\"", "9 elements", "10"}));
  EXPECT_TRUE(
      refuses({}, {value.data(), DType::float16, 10}, {"value of \"w\"", "copy of \"w\"", "overlap"}));
  EXPECT_TRUE(
      refuses({}, {grad.data(), DType::float16, 10}, {"gradient of \"w\"", "copy of \"w\"", "overlap"}));
  EXPECT_TRUE(refused(
      [&] {
        make({}, good, {copy.data() + 10, DType::float16, 10});
      },
      {"\"w\"", "copy", "float16"}));
}

}  // namespace
}  // namespace onepass::test
