// formats_test.cpp - a step in any format gives the bits of decoding, the same step in float32, and encoding.
// Other tests check the codecs and the float32 step against float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <set>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

using storage::kBlock;

constexpr std::uint64_t kSeed = 7;

/// Everything that selects a stream's random bits: the step counted from 0, the number of its tensor, its
/// index among the streams that are rounded, and the number of halves that these take for each block.
struct StatePlace {
  std::int64_t step;
  std::uint32_t tensor;
  std::uint32_t stream;
  std::uint32_t halves;
};

/// Returns true if a parameter may take random bits.
bool is_rounded(const FormatCase& format) {
  if (format.param == DType::float32) return false;
  return format.storage.master == Master::none || format.storage.master == Master::remainder8;
}

/// Number of halves for each block: one for each state of fewer than 32 bits and one for a parameter that is
/// not exact, rounded up to a power of two.
std::uint32_t halves_of(const FormatCase& format, std::size_t states) {
  const Storage& how = format.storage;
  const std::size_t streams = (how.states == States::float32 ? 0 : states) + (is_rounded(format) ? 1 : 0);
  return streams == 0 ? 0 : std::bit_ceil(static_cast<std::uint32_t>(streams));
}

/// The 16 bits with which element `i` of a stream is rounded.
std::uint32_t rounding_bits(std::size_t i, const StatePlace& place) {
  const reference::Place drawn{kSeed, reference::kRounding, static_cast<std::uint32_t>(place.step),
                               place.tensor};
  return reference::noise(reference::half(drawn, i / kBlock * place.halves + place.stream), i % kBlock);
}

template <class Codec>
void quantise(const std::vector<float>& values, const StatePlace& place, std::vector<std::byte>& bytes) {
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::size_t end = std::min(values.size(), begin + kBlock);
    float largest = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const float magnitude = std::fabs(Codec::stage(values[i]));
      if (std::isnan(magnitude) || magnitude > largest) largest = std::isnan(largest) ? largest : magnitude;
    }
    const std::uint16_t stored = Codec::scale(storage::magnitude_of(largest));
    for (std::size_t i = begin; i < end; ++i) {
      const auto code = Codec::encode(Codec::stage(values[i]), storage::BFloat16::decode(stored),
                                      rounding_bits(i, place) >> (16 - storage::kNoiseBits));
      std::memcpy(bytes.data() + i, &code, sizeof code);
    }
    std::memcpy(bytes.data() + (values.size() + 63) / 64 * 64 + begin / kBlock * sizeof stored, &stored,
                sizeof stored);
  }
}

std::vector<std::byte> encoded_state(const SavedState& like, const std::vector<float>& values,
                                     const FormatCase& format, const StatePlace& place) {
  std::vector<std::byte> bytes(like.bytes.size());
  if (like.dtype == DType::uint8) {
    is_nonnegative(like.name) ? quantise<storage::Nonnegative8>(values, place, bytes)
                              : quantise<storage::Signed8>(values, place, bytes);
    return bytes;
  }
  const bool rounds = like.dtype == DType::bfloat16 && format.storage.rounding == Rounding::stochastic;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!rounds) {
      encode(like.dtype, values[i], bytes.data(), i);
      continue;
    }
    const std::uint16_t element = storage::BFloat16::encode_stochastic(values[i], rounding_bits(i, place));
    std::memcpy(bytes.data() + 2 * i, &element, 2);
  }
  return bytes;
}

/// Whether states are converted before a step, or after it.
enum class When { loaded, stored };

/// If states have fewer than 32 bits, centered RMSProp stores its variance, square_avg minus the square of
/// grad_avg, in place of square_avg; Adamax the square of exp_inf; and Rprop the sign of prev.
void convert(const std::vector<SavedState>& states, std::vector<std::vector<float>>& values, When when) {
  const auto is = [&](std::size_t state, const char* name) {
    return state < states.size() && states[state].name == name && states[state].dtype != DType::float32;
  };
  const bool stored = when == When::stored;
  if (values.empty()) return;
  for (std::size_t i = 0; i < values[0].size(); ++i) {
    if (is(1, "grad_avg")) {
      const float mean = values[1][i];
      float& square = values[0][i];
      square = std::fma(stored ? -mean : mean, mean, square);
      if (stored && square <= 0) square = 0;
    }
    if (is(1, "exp_inf")) values[1][i] = stored ? values[1][i] * values[1][i] : std::sqrt(values[1][i]);
    if (is(0, "prev") && stored && values[0][i] != 0 && !std::isnan(values[0][i])) {
      values[0][i] = std::copysign(1.0f, values[0][i]);
    }
  }
}

struct EncodedParam {
  std::vector<std::byte> element, remainder;
};

template <class Codec>
std::uint16_t encoded(float x, std::uint32_t noise, Rounding rounding) {
  return rounding == Rounding::stochastic ? Codec::encode_stochastic(x, noise) : Codec::encode(x);
}

EncodedParam encoded_param(const FormatCase& format, const StatePlace& place,
                           const std::vector<float>& values) {
  EncodedParam narrow{std::vector<std::byte>(values.size() * size_of(format.param)), {}};
  const Storage& how = format.storage;
  const std::size_t rest = how.master == Master::float32 ? 4 : how.master == Master::split ? 2 : 1;
  if (format.param != DType::float32 && how.master != Master::none)
    narrow.remainder.resize(values.size() * rest);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t element = 0;
    if (format.param == DType::float32 || how.master == Master::float32) {
      encode(format.param, values[i], narrow.element.data(), i);
      if (how.master == Master::float32) encode(DType::float32, values[i], narrow.remainder.data(), i);
      continue;
    }
    const std::uint32_t noise = rounding_bits(i, place);
    if (how.master == Master::split) {
      std::uint16_t remainder = 0;
      storage::SplitBFloat16::encode(values[i], element, remainder);
      std::memcpy(narrow.remainder.data() + 2 * i, &remainder, 2);
    } else if (how.master == Master::remainder8) {
      std::uint8_t remainder = 0;
      format.param == DType::bfloat16
          ? storage::BFloat16Remainder8::encode_stochastic(values[i], element, remainder, noise)
          : storage::Float16Remainder8::encode_stochastic(values[i], element, remainder, noise);
      std::memcpy(narrow.remainder.data() + i, &remainder, 1);
    } else {
      element = format.param == DType::bfloat16 ? encoded<storage::BFloat16>(values[i], noise, how.rounding)
                                                : encoded<storage::Float16>(values[i], noise, how.rounding);
    }
    std::memcpy(narrow.element.data() + 2 * i, &element, 2);
  }
  return narrow;
}

/// Succeeds if both have the same bits; any NaN equals any NaN.
testing::AssertionResult same(DType dtype, const std::vector<std::byte>& expected,
                              const std::vector<std::byte>& actual) {
  if (dtype == DType::uint8 || dtype == DType::uint16) {
    return expected == actual ? testing::AssertionSuccess() : testing::AssertionFailure() << "codes differ";
  }
  std::vector<float> a(expected.size() / size_of(dtype)), b(actual.size() / size_of(dtype));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = decoded(dtype, expected.data(), i);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = decoded(dtype, actual.data(), i);
  return equal_bits(a, b);
}

std::vector<std::vector<float>> decoded_states(const SavedParameter& saved, std::size_t count,
                                               std::size_t numel) {
  std::vector<std::vector<float>> values;
  for (std::size_t s = 0; s < count; ++s) values.push_back(decoded_state(saved.states[s], numel));
  return values;
}

SavedState float32_state(const std::string& name, const std::vector<float>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {name, DType::float32, {bytes, bytes + values.size() * sizeof(float)}};
}

bool is_scalar(const SavedState& state) { return state.dtype == DType::float64; }

/// The states of an optimizer in a format, decoded to float32, with its parameters and gradients.
struct WideModel {
  std::vector<std::vector<float>> params, grads;
  StateDict dict;

  WideModel(const FormatCase& format, const FormatModel& model, const StateDict& narrow, std::size_t states)
      : dict{.groups = narrow.groups, .steps = narrow.steps, .parameters = {}} {
    for (std::size_t i = 0; i < model.size(); ++i) {
      const SavedParameter& saved = narrow.parameters[i];
      params.push_back(decoded_param(format, model.value(i), saved));
      grads.push_back(model.grad(i).floats());
      std::vector<std::vector<float>> values = decoded_states(saved, states, params[i].size());
      convert(saved.states, values, When::loaded);
      dict.parameters.push_back({.name = saved.name, .step = saved.step, .states = {}});
      for (std::size_t s = 0; s < states; ++s) {
        dict.parameters[i].states.push_back(float32_state(saved.states[s].name, values[s]));
      }
      std::ranges::copy_if(saved.states, std::back_inserter(dict.parameters[i].states), is_scalar);
    }
  }

  /// Takes one step of the same rule in float32.
  void step(const RuleCase& rule, const GradientHandling& handling) {
    std::vector<Parameter> parameters;
    for (std::size_t i = 0; i < params.size(); ++i) {
      parameters.push_back({.name = tensor_name(static_cast<int>(i)), .value = params[i], .grad = grads[i]});
    }
    Optimizer optimizer = rule.make(parameters);
    optimizer.set_gradient_handling(handling);
    optimizer.load_state_dict(dict);
    optimizer.step();
    dict = optimizer.state_dict();
  }
};

/// Compares the result of step `t` in a format with the encoded result of the step in float32.
void expect_encoded(const FormatCase& format, const FormatModel& model, const StateDict& after,
                    const WideModel& wide, std::int64_t t) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "tensor of " << wide.params[i].size() << ", step " << t);
    const SavedParameter& saved = after.parameters[i];
    const SavedParameter& moved = wide.dict.parameters[i];
    const auto scalars = static_cast<std::size_t>(std::ranges::count_if(moved.states, is_scalar));
    const std::size_t states = moved.states.size() - scalars;
    const std::uint32_t halves = halves_of(format, states);
    const EncodedParam expected =
        encoded_param(format, {t, number_of(saved.name), halves - 1, halves}, wide.params[i]);
    ASSERT_TRUE(same(format.param, expected.element, model.value(i).bytes()));
    std::vector<std::vector<float>> values = decoded_states(moved, states, wide.params[i].size());
    convert(saved.states, values, When::stored);
    for (std::uint32_t s = 0; s < states; ++s) {
      const SavedState& state = saved.states[s];
      const StatePlace place{t, number_of(saved.name), s, halves};
      ASSERT_TRUE(same(state.dtype, encoded_state(state, values[s], format, place), state.bytes))
          << state.name;
    }
    if (!expected.remainder.empty()) {
      const SavedState& rest = rest_of(format, saved);
      ASSERT_TRUE(same(rest.dtype, expected.remainder, rest.bytes)) << rest.name;
    }
  }
}

/// Steps an optimizer in a format and checks each step against the same step in float32.
void expect_decoded_step(const RuleCase& rule, const FormatCase& format,
                         const GradientHandling& handling = {}) {
  constexpr int kSteps = 6;
  const FormatModel model(format, Device::cpu(), kFormatSizes);
  Optimizer narrow =
      rule.make(model.parameters(),
                {.chunk_size = 64, .storage = format.low(), .float32_storage = format.wide(), .seed = kSeed});
  narrow.set_gradient_handling(handling);
  for (std::int64_t t = 0; t < kSteps; ++t) {
    // A norm of NaN would make every number NaN.
    handling.clip_norm ? model.draw_finite(t) : model.draw(t + 1, 30);
    WideModel wide(format, model, narrow.state_dict(), narrow.state_names().size());
    wide.step(rule, handling);
    narrow.step();
    expect_encoded(format, model, narrow.state_dict(), wide, t);
    if (testing::Test::HasFatalFailure()) return;
  }
}

class Formats : public testing::TestWithParam<FormatCase> {};

TEST_P(Formats, StepIsTheFloat32StepBetweenDecodeAndEncode) {
  for (const RuleCase& rule : rule_options()) {
    SCOPED_TRACE(rule.name);
    expect_decoded_step(rule, GetParam());
    if (HasFatalFailure()) return;
  }
}

TEST_P(Formats, StepWithL1AndClippingByValueIsTheFloat32StepToo) {
  for (const RuleCase& rule : one_case_with_l1_per_kernel()) {
    SCOPED_TRACE(rule.name);
    expect_decoded_step(rule, GetParam(), {.clip_value = 0.25});
    if (HasFatalFailure()) return;
  }
}

TEST_P(Formats, StepWithClippingByNormIsTheFloat32StepToo) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    expect_decoded_step(rule, GetParam(), {.clip_norm = ClipGradNorm{.max_norm = 0.5}, .loss_scale = 3.0});
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Formats, testing::ValuesIn(all_format_cases()), by_name);

double total(const std::vector<StreamBytes>& streams) {
  double bytes = 0;
  for (const StreamBytes& stream : streams) bytes += stream.bytes;
  return bytes;
}

// docs/design.md has these figures for AdamW.
TEST(Footprint, AdamWTakesTheDocumentedBytesPerParameter) {
  struct Wanted {
    const char* format;
    double memory, traffic;
  };
  for (const Wanted& wanted : {Wanted{"float32", 16, 28},
                               {"bf16", 12, 22},
                               {"bf16_master", 16, 28},
                               {"bf16_split", 14, 26},
                               {"compact", 7.125, 12.25},
                               {"all_bf16", 8, 14}}) {
    const FormatCase& format = format_case(wanted.format);
    const FormatModel model(format, Device::cpu(), {1024, 320});
    const Optimizer optimizer{
        AdamW{}, model.parameters(), {.storage = format.low(), .float32_storage = format.wide()}};
    EXPECT_EQ(total(optimizer.memory()) / 1344, wanted.memory) << wanted.format;
    EXPECT_EQ(total(optimizer.traffic()) / 1344, wanted.traffic) << wanted.format;
  }
}

/// Lists the streams and their bytes, as in "param 2688, grad 2688".
std::string listed(const std::vector<StreamBytes>& streams) {
  std::string list;
  for (const StreamBytes& stream : streams) {
    list += (list.empty() ? "" : ", ") + stream.name + " " + std::to_string(std::lround(stream.bytes));
  }
  return list;
}

TEST(Footprint, NamesEveryStreamWithItsBytes) {
  for (const auto& [name, wanted] :
       {std::pair{"compact", "param 2688, grad 2688, exp_avg 1428, exp_avg_sq 1428, remainder 1344"},
        std::pair{"bf16_split", "param 2688, grad 2688, exp_avg 5376, exp_avg_sq 5376, remainder 2688"}}) {
    const FormatCase& format = format_case(name);
    const FormatModel model(format, Device::cpu(), {1024, 320});
    const Optimizer optimizer{
        AdamW{}, model.parameters(), {.storage = format.low(), .float32_storage = format.wide()}};
    EXPECT_EQ(listed(optimizer.memory()), wanted) << name;
  }
}

// The sizes are multiples of 64, so a saved state has no gap before its scales. memory() does not count that
// gap.
TEST(Footprint, MemoryIsWhatAStateDictHolds) {
  for (const FormatCase& format : all_format_cases()) {
    const FormatModel model(format, Device::cpu(), {1024, 320});
    const Optimizer optimizer{
        AdamW{.amsgrad = true},
        model.parameters(),
        {.storage = format.low(), .float32_storage = format.wide(), .ema = EMA{.dtype = DType::bfloat16}}};
    std::vector<StreamBytes> saved{{"param", 0}, {"grad", 0}};
    for (std::size_t i = 0; i < model.size(); ++i) {
      saved[0].bytes += static_cast<double>(model.value(i).bytes().size());
      saved[1].bytes += static_cast<double>(model.grad(i).bytes().size());
    }
    for (const SavedParameter& parameter : optimizer.state_dict().parameters) {
      for (const SavedState& state : parameter.states) {
        auto at = std::ranges::find(saved, state.name, &StreamBytes::name);
        if (at == saved.end()) at = saved.insert(at, {state.name, 0});
        at->bytes += static_cast<double>(state.bytes.size());
      }
    }
    EXPECT_EQ(listed(optimizer.memory()), listed(saved)) << format.name;
  }
}

TEST(Footprint, NormAndZeroingCountTheGradientAgain) {
  const FormatModel model(format_cases()[0], Device::cpu(), {1000});
  Optimizer optimizer{SGD{}, model.parameters()};
  EXPECT_EQ(total(optimizer.traffic()), 12000);
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 1.0}, .zero_grad = true});
  EXPECT_EQ(total(optimizer.traffic()), 20000);
}

}  // namespace
}  // namespace onepass::test
