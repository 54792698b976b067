// given_streams_test.cpp - memory of the caller's gives the bits of the optimizer's own.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/formats/first_contents.hpp"
#include "support/formats/given_memory.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

class GivenStreams : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Formats, GivenStreams, testing::ValuesIn(all_format_cases()), by_name);

Options options_of(const FormatCase& format, bool accumulates = false) {
  return {.storage = format.low(),
          .float32_storage = format.wide(),
          .seed = 5,
          .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16},
          .accumulates_gradients = accumulates};
}

bool everything(const std::string& /*name*/) { return true; }

const RuleCase& adamw() {
  static const RuleCase rule = last_case_of("AdamW");
  return rule;
}

TEST_P(GivenStreams, HaveTheBitsOfOwnMemoryWithEveryRuleAndInstructionSet) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      Options options = options_of(GetParam());
      options.isa = isa;
      options.chunk_size = isa == Isa::avx2 ? 64 : 576;
      options.threads = isa == Isa::baseline ? 1 : 3;
      SCOPED_TRACE(to_string(isa));
      const bool thorough = isa == Isa::baseline;
      expect_bits_of_own_memory({rule, GetParam(), Device::cpu(), options}, thorough);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(GivenStreams, BeginAsOwnMemoryDoes) {
  const FormatModel model = model_of_every_kind(GetParam(), Device::cpu());
  for (const int threads : {1, 3}) {
    for (const Given& given : choices_of_given()) {
      SCOPED_TRACE(given.text);
      CallersMemory memory(Device::cpu());
      Options options = options_of(GetParam(), true);
      options.threads = threads;
      options.chunk_size = 64;
      const auto required = Optimizer::required_memory(adamw().rule, model.parameters(), options);
      const std::vector<Parameter> parameters =
          memory.give(model.parameters(), required, Contents::first, given.chosen);
      const Optimizer optimizer = adamw().make(parameters, options);
      expect_first_contents(model, optimizer.state_dict());
      for (const Parameter& one : parameters) {
        for (const GivenStream& stream : one.streams) {
          if (stream.name != "step" && stream.name != "gradient_sum") continue;
          EXPECT_EQ(bytes_of(stream.tensor), std::vector<std::byte>(stream.tensor.bytes())) << stream.name;
        }
      }
      EXPECT_TRUE(memory.intact());
    }
  }
}

TEST_P(GivenStreams, WithContentsAreLeftAsTheyAre) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 33});
  for (const Given& given : choices_of_given()) {
    SCOPED_TRACE(given.text);
    CallersMemory memory(Device::cpu());
    const Options options = options_of(GetParam(), true);
    const auto required = Optimizer::required_memory(adamw().rule, model.parameters(), options);
    std::vector<Parameter> parameters =
        memory.give(model.parameters(), required, Contents::present, given.chosen);
    std::vector<std::vector<std::byte>> before;
    for (const Parameter& one : parameters) {
      for (const GivenStream& stream : one.streams) {
        if (stream.name == "step") fill_zero({Device::cpu(), stream.tensor.data}, stream.tensor.bytes());
        before.push_back(bytes_of(stream.tensor));
      }
    }
    const Optimizer optimizer = adamw().make(parameters, options);
    auto wanted = before.begin();
    for (const Parameter& one : parameters) {
      for (const GivenStream& stream : one.streams)
        EXPECT_EQ(*wanted++, bytes_of(stream.tensor)) << stream.name;
    }
    // Those that are the optimizer's own begin as always.
    for (const SavedParameter& saved : optimizer.state_dict().parameters) {
      const std::size_t i = saved.name == "t0" ? 0 : 1;
      for (const SavedState& state : saved.states) {
        if (given.chosen(state.name) || state.dtype == DType::uint8) continue;
        EXPECT_EQ(first_bytes(model.value(i), state), state.bytes) << state.name;
      }
    }
  }
}

TEST_P(GivenStreams, GoOnInAnotherOptimizer) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 33}), whole(GetParam(), Device::cpu(), {100, 33});
  Options options = options_of(GetParam());
  options.ema = EMA{};
  CallersMemory memory(Device::cpu());
  const auto required = Optimizer::required_memory(adamw().rule, model.parameters(), options);
  std::vector<Parameter> parameters = memory.give(model.parameters(), required, Contents::first, everything);
  Optimizer wanted = adamw().make(whole.parameters(), options);
  StateDict dict;
  for (const int first : {1, 4}) {
    Optimizer optimizer = adamw().make(parameters, options);
    for (int step = first; step < first + 3; ++step) {
      model.draw_finite(step);
      whole.draw_finite(step);
      optimizer.step();
      wanted.step();
    }
    for (Parameter& one : parameters) {
      for (GivenStream& stream : one.streams) stream.contents = Contents::present;
    }
    dict = optimizer.state_dict();
  }
  EXPECT_EQ(dict.parameters[0].step, 6);
  EXPECT_EQ(all_bytes(whole, wanted.state_dict()), all_bytes(model, dict));
}

TEST_P(GivenStreams, AreSavedAndLoaded) {
  const FormatModel trained(GetParam(), Device::cpu(), {100, 0, 33, 1100});
  const Options options = options_of(GetParam(), true);
  Optimizer source = adamw().make(trained.parameters(), options);
  for (int step = 1; step <= 3; ++step) {
    trained.draw_finite(step);
    source.accumulate();
    if (step < 3) source.step();
  }
  const StateDict dict = source.state_dict();
  for (const Given& given : choices_of_given()) {
    const FormatModel loaded(GetParam(), Device::cpu(), {100, 0, 33, 1100});
    CallersMemory memory(Device::cpu());
    const auto required = Optimizer::required_memory(adamw().rule, loaded.parameters(), options);
    const std::vector<Parameter> parameters =
        memory.give(loaded.parameters(), required, Contents::first, given.chosen);
    Optimizer target = adamw().make(parameters, options);
    target.load_state_dict(dict);
    const StateDict again = target.state_dict();
    for (std::size_t i = 0; i < dict.parameters.size(); ++i) {
      EXPECT_EQ(dict.parameters[i].step, again.parameters[i].step);
      EXPECT_EQ(dict.parameters[i].gradient_sum, again.parameters[i].gradient_sum);
      for (std::size_t s = 0; s < dict.parameters[i].states.size(); ++s) {
        EXPECT_EQ(dict.parameters[i].states[s].bytes, again.parameters[i].states[s].bytes) << given.text;
      }
    }
    EXPECT_TRUE(memory.intact());
  }
}

TEST_P(GivenStreams, AreWhatStateReturnsAndOutliveTheirParameter) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 33});
  CallersMemory memory(Device::cpu());
  const Options options = options_of(GetParam());
  const auto required = Optimizer::required_memory(adamw().rule, model.parameters(), options);
  std::vector<Parameter> parameters = memory.give(model.parameters(), required, Contents::first, everything);
  parameters[1].streams.clear();
  Optimizer optimizer = adamw().make(parameters, options);
  model.draw_finite(1);
  optimizer.step();
  for (const GivenStream& given : parameters[0].streams) {
    if (given.name == "step") continue;
    const Tensor state = optimizer.state("t0", given.name), own = optimizer.state("t1", given.name);
    EXPECT_EQ(state.data, given.tensor.data) << given.name;
    EXPECT_EQ(state.numel, given.tensor.numel);
    EXPECT_EQ(state.dtype, given.tensor.dtype);
    EXPECT_EQ(own.dtype, given.tensor.dtype);
  }
  const std::vector<std::byte> average = bytes_of(optimizer.state("t0", "exp_avg"));
  optimizer.remove_parameters({"t0"});
  EXPECT_EQ(average, bytes_of(parameters[0].streams[0].tensor));
  optimizer.step();
  EXPECT_EQ(average, bytes_of(parameters[0].streams[0].tensor));
}

TEST_P(GivenStreams, TakeTheMemoryThatIsRequired) {
  const FormatModel model(GetParam(), Device::cpu(), {128, 0, 33});
  const Options options = options_of(GetParam(), true);
  const auto required = Optimizer::required_memory(adamw().rule, model.parameters(), options);
  ASSERT_EQ(required.size(), 3u);
  const Optimizer optimizer = adamw().make(std::vector<Parameter>{model.parameters()[0]}, options);
  double own = 0.0, told = 0.0;
  for (const StreamBytes& stream : optimizer.memory()) own += stream.bytes;
  for (const RequiredStream& stream : required[0].streams) {
    EXPECT_EQ(stream.bytes, static_cast<std::size_t>(stream.numel) * size_of(stream.dtype));
    EXPECT_EQ(stream.alignment, size_of(stream.dtype));
    if (stream.name != "step") told += static_cast<double>(stream.bytes);
  }
  const Parameter whole = model.parameters()[0];
  EXPECT_EQ(own - static_cast<double>(whole.value.bytes() + whole.grad.bytes()), told);
  EXPECT_EQ(required[2].parameter, "t2");
  EXPECT_EQ(required[2].streams.back().name, "step");
  EXPECT_EQ(required[2].streams.back().dtype, DType::int64);
  EXPECT_EQ(required[2].streams.front().numel, 33);
  EXPECT_EQ(required[1].streams.front().bytes, 0u);
  if (GetParam().storage.states == States::quantized8) {
    EXPECT_EQ(required[2].streams[1].name, "exp_avg.scales");
    EXPECT_EQ(required[2].streams[1].numel, 2);
    EXPECT_EQ(required[2].streams[1].dtype, DType::bfloat16);
  }
}

/// One parameter of float32 whose states may be given wrongly.
class GivenRefused : public testing::Test {
 protected:
  template <class Change>
  testing::AssertionResult refuses(Change change, std::initializer_list<std::string> words) {
    std::vector<Parameter> parameters = model_.parameters();
    parameters[0].streams = {{"exp_avg", memory_.give(DType::float32, 64)},
                             {"exp_avg_sq", memory_.give(DType::float32, 64)}};
    change(parameters);
    return refused([&] { Optimizer(AdamW{}, parameters); }, words);
  }

  FormatModel model_{format_cases().front(), Device::cpu(), {64, 33}};
  CallersMemory memory_{Device::cpu()};
};

using Parameters = std::vector<Parameter>;

TEST_F(GivenRefused, ByNameTypeSizeAndPlace) {
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].name = "momentum"; },
                      {"\"t0\"", "\"momentum\"", "exp_avg, exp_avg_sq, step"}));
  EXPECT_TRUE(
      refuses([](Parameters& all) { all[0].streams[1].name = "exp_avg"; }, {"\"t0\"", "exp_avg twice"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].name = "exp_avg.scales"; },
                      {"\"t0\"", "\"exp_avg.scales\""}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.dtype = DType::bfloat16; },
                      {"exp_avg_sq of \"t0\" is of bfloat16", "float32"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.numel = 63; },
                      {"exp_avg_sq of \"t0\" has 63 elements", "64"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.data = nullptr; },
                      {"exp_avg_sq of \"t0\" is null"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.device = Device::cuda(0); },
                      {"exp_avg_sq of \"t0\" is on cuda:0", "cpu"}));
  EXPECT_TRUE(refuses(
      [](Parameters& all) {
        Tensor& tensor = all[0].streams[1].tensor;
        tensor.data = static_cast<std::byte*>(tensor.data) + 2;
      },
      {"exp_avg_sq of \"t0\" is not aligned"}));
}

TEST_F(GivenRefused, IfItOverlapsWhatElseAStepReadsOrWrites) {
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor = all[0].streams[0].tensor; },
                      {"exp_avg of \"t0\"", "exp_avg_sq of \"t0\"", "overlap"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.data = all[0].value.data; },
                      {"value of \"t0\"", "exp_avg_sq of \"t0\"", "overlap"}));
  EXPECT_TRUE(refuses([](Parameters& all) { all[0].streams[1].tensor.data = all[0].grad.data; },
                      {"gradient of \"t0\"", "exp_avg_sq of \"t0\"", "overlap"}));
  Optimizer optimizer(AdamW{}, Parameters{model_.parameters()[0]});
  Parameter late = model_.parameters()[1];
  late.streams = {{"exp_avg", {static_cast<float*>(optimizer.state("t0", "exp_avg").data) + 31, 33}}};
  EXPECT_TRUE(refused([&] { optimizer.add_parameters(Parameters{late}); },
                      {"exp_avg of \"t1\"", "the optimizer's own memory", "overlap"}));
  EXPECT_EQ(optimizer.parameter_count(), 1u);
}

TEST_F(GivenRefused, IfSetMemoryChangesWhatIsGiven) {
  Parameters parameters = model_.parameters();
  parameters[0].streams = {{"exp_avg", memory_.give(DType::float32, 64)},
                           {"step", memory_.give(DType::int64, 1)}};
  Optimizer optimizer(AdamW{}, parameters);
  const auto moved = [&](auto change) {
    Parameters some{memory_.move(parameters[0])};
    change(some[0].streams);
    return [&optimizer, some] { optimizer.set_memory(some); };
  };
  using Streams = std::vector<GivenStream>;
  EXPECT_TRUE(
      refused(moved([](Streams& streams) { streams.pop_back(); }), {"\"t0\"", "without memory for step"}));
  EXPECT_TRUE(refused(moved([&](Streams& streams) {
                        streams.push_back({"exp_avg_sq", memory_.give(DType::float32, 64)});
                      }),
                      {"exp_avg_sq of \"t0\"", "optimizer's own"}));
  EXPECT_TRUE(refused(moved([&](Streams& streams) { streams[1].tensor = memory_.give(DType::float32, 1); }),
                      {"step of \"t0\" is of float32", "int64"}));
  EXPECT_TRUE(refused(moved([&](Streams& streams) { streams[0].tensor.numel = 63; }),
                      {"exp_avg of \"t0\" has 63 elements"}));
  EXPECT_TRUE(refused(moved([&](Streams& streams) { streams[0].tensor.data = parameters[1].value.data; }),
                      {"exp_avg of \"t0\"", "overlap"}));
}

TEST(RequiredMemory, IsRefusedAsTheOptimizerWouldBe) {
  const FormatModel model(format_cases().front(), Device::cpu(), {64});
  Parameters parameters = model.parameters();
  parameters[0].group = 1;
  EXPECT_TRUE(
      refused([&] { (void)Optimizer::required_memory(AdamW{}, parameters); }, {"\"t0\" is in group 1"}));
  parameters[0].group = 0;
  parameters[0].value.dtype = DType::int64;
  EXPECT_TRUE(
      refused([&] { (void)Optimizer::required_memory(AdamW{}, parameters); }, {"value of \"t0\"", "int64"}));
  EXPECT_TRUE(
      refused([&] { (void)Optimizer::required_memory(AdamW{.lr = -1.0}, model.parameters()); }, {"lr"}));
  EXPECT_TRUE(refused(
      [&] { (void)Optimizer::required_memory(AdamW{}, model.parameters(), {.ema = EMA{.decay = 2}}); },
      {"EMA.decay"}));
}

}  // namespace
}  // namespace onepass::test
