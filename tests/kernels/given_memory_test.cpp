// given_memory_test.cpp - on CUDA, memory of the caller's gives the bits of the CPU's own, moves between
// replays of a graph, and is left when its parameter is removed.
#include "support/formats/given_memory.hpp"
#include "kernels/cuda_test.hpp"
#include "support/formats/first_contents.hpp"
#include "support/refusal.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaGivenMemory : public CudaTest {};

Options options_of(const FormatCase& format, bool accumulates) {
  return {.chunk_size = 576,
          .storage = format.low(),
          .float32_storage = format.wide(),
          .seed = 5,
          .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16},
          .accumulates_gradients = accumulates};
}

bool everything(const std::string& /*name*/) { return true; }

TEST_F(CudaGivenMemory, HasTheBitsOfTheCpusOwn) {
  Sample sample;
  std::size_t trials = 0;
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const FormatCase& format : format_cases()) {
      if (!sample.takes_next()) continue;
      const Given& given = choices_of_given()[trials % choices_of_given().size()];
      const bool accumulates = ++trials % 2 == 0;
      SCOPED_TRACE(rule.name + " in " + format.name + ", given " + given.text);
      GivenTrial trial{rule, format, Device::cpu(), options_of(format, accumulates), true};
      const Trained wanted = train_given(trial, nullptr);
      trial.device = kGpu;
      ASSERT_EQ(wanted, train_given(trial, &given));
    }
  }
}

TEST_F(CudaGivenMemory, BeginsAsOwnMemoryDoesOrIsLeftAsItIs) {
  const RuleCase adamw = last_case_of("AdamW");
  for (const FormatCase& format : format_cases()) {
    SCOPED_TRACE(format.name);
    const FormatModel model = model_of_every_kind(format, kGpu);
    const Options options = options_of(format, true);
    CallersMemory memory(kGpu);
    const auto required = Optimizer::required_memory(adamw.rule, model.parameters(), options);
    std::vector<Parameter> parameters =
        memory.give(model.parameters(), required, Contents::first, everything);
    {
      const Optimizer optimizer = adamw.make(parameters, options);
      expect_first_contents(model, optimizer.state_dict());
    }
    std::vector<std::vector<std::byte>> before;
    for (Parameter& one : parameters) {
      for (GivenStream& stream : one.streams) {
        stream.contents = Contents::present;
        if (stream.name != "step") {
          const std::vector<std::byte> bytes(stream.tensor.bytes(), std::byte{0x3c});
          copy({kGpu, stream.tensor.data}, {Device::cpu(), bytes.data()}, bytes.size());
        }
        before.push_back(bytes_of(stream.tensor));
      }
    }
    const Optimizer optimizer = adamw.make(parameters, options);
    auto wanted = before.begin();
    for (const Parameter& one : parameters) {
      for (const GivenStream& stream : one.streams)
        ASSERT_EQ(*wanted++, bytes_of(stream.tensor)) << stream.name;
    }
    EXPECT_TRUE(memory.intact());
  }
}

// A graph is captured once. Between its replays everything moves.
TEST_F(CudaGivenMemory, MovesBetweenReplaysOfAGraph) {
  const RuleCase adamw = last_case_of("AdamW");
  for (const char* const name : {"float32", "bf16_split", "compact"}) {
    SCOPED_TRACE(name);
    const FormatCase& format = format_case(name);
    const Options options = options_of(format, false);
    const FormatModel cpu(format, Device::cpu(), {100, 0, 33, 1100}), gpu(format, kGpu, {100, 0, 33, 1100});
    CallersMemory memory(kGpu);
    const auto required = Optimizer::required_memory(adamw.rule, gpu.parameters(), options);
    std::vector<Parameter> parameters = memory.give(gpu.parameters(), required, Contents::first, everything);
    Optimizer wanted = adamw.make(cpu.parameters(), options), actual = adamw.make(parameters, options);
    synchronize(kGpu);
    const CudaStream stream;
    const CapturedGraph graph(stream, [&] { actual.step(stream); });
    for (int step = 1; step <= 4; ++step) {
      draw_gradients_of(parameters, step);
      cpu.draw_finite(step);
      synchronize(kGpu);
      graph.replay(stream);
      wanted.step();
      stream.wait();
      if (step == 2) parameters = memory.move(parameters);
      if (step == 3) parameters[2] = memory.move(parameters[2]);
      synchronize(kGpu);
      if (step == 2) actual.set_memory(parameters, stream);
      if (step == 3) actual.set_memory(std::vector<Parameter>{parameters[2]}, stream);
    }
    const StateDict a = wanted.state_dict(), b = actual.state_dict();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_EQ(cpu.value(i).bytes(), bytes_of(parameters[i].value));
      EXPECT_EQ(a.parameters[i].step, b.parameters[i].step);
      for (std::size_t s = 0; s < a.parameters[i].states.size(); ++s) {
        EXPECT_EQ(a.parameters[i].states[s].bytes, b.parameters[i].states[s].bytes);
      }
    }
    EXPECT_TRUE(memory.intact());
  }
}

/// Many parameters of one float, each with a counter on the GPU: of float32 and int64 in turn.
class Counted {
 public:
  explicit Counted(std::size_t count)
      : values_(kGpu, 4 * count), gradients_(kGpu, 4 * count), counters_(kGpu, 8 * count) {
    const std::vector<float> ones(count, 1.0f);
    copy({kGpu, values_.data()}, {Device::cpu(), ones.data()}, 4 * count);
    copy({kGpu, gradients_.data()}, {Device::cpu(), ones.data()}, 4 * count);
    for (std::size_t i = 0; i < count; ++i) {
      parameters.push_back({.name = tensor_name(static_cast<int>(i)),
                            .value = {values_.as<float>() + i, 1, kGpu},
                            .grad = {gradients_.as<float>() + i, 1, kGpu}});
      const DType dtype = is_float(i) ? DType::float32 : DType::int64;
      parameters[i].streams = {{"step", {counters_.as<std::int64_t>() + i, dtype, 1, kGpu}}};
    }
  }
  static bool is_float(std::size_t i) { return i % 2 == 0; }
  void set(std::size_t i, double count) const {
    const auto real = static_cast<float>(count);
    const auto whole = static_cast<std::int64_t>(count);
    const void* const from = is_float(i) ? static_cast<const void*>(&real) : &whole;
    copy({kGpu, counters_.as<std::int64_t>() + i}, {Device::cpu(), from}, is_float(i) ? 4 : 8);
    synchronize(kGpu);
  }

  std::vector<Parameter> parameters;

 private:
  DeviceBuffer values_, gradients_, counters_;
};

TEST_F(CudaGivenMemory, CountersCountInReplaysAndEditsCount) {
  const Counted counted(5);
  Optimizer optimizer(AdamW{}, counted.parameters);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  const auto replay = [&] {
    graph.replay(stream);
    stream.wait();
  };
  replay();
  counted.set(1, 5e9);
  counted.set(2, 16777215.0);
  replay();
  EXPECT_EQ(optimizer.step_count("t0"), 2);
  EXPECT_EQ(optimizer.step_count("t1"), 5'000'000'001);
  EXPECT_EQ(optimizer.step_count("t2"), 16777216);
  EXPECT_EQ(optimizer.step_count("t3"), 2);
  optimizer.check();

  // The CPU, with the same counts loaded.
  std::vector<float> values(5, 1.0f), gradients(5, 1.0f);
  std::vector<Parameter> parameters;
  for (std::size_t i = 0; i < 5; ++i) {
    parameters.push_back({.name = tensor_name(static_cast<int>(i)),
                          .value = Tensor(&values[i], 1),
                          .grad = Tensor(&gradients[i], 1)});
  }
  Optimizer wanted(AdamW{}, parameters);
  wanted.step();
  StateDict dict = wanted.state_dict();
  dict.parameters[1].step = 5'000'000'000;
  dict.parameters[2].step = 16777215;
  wanted.load_state_dict(dict);
  wanted.step();
  EXPECT_TRUE(equal_bits(snapshot(parameters, wanted), snapshot(counted.parameters, optimizer)));

  replay();
  EXPECT_EQ(optimizer.step_count("t2"), 16777216);
  EXPECT_EQ(optimizer.step_count("t3"), 3);
  EXPECT_TRUE(refused([&] { optimizer.check(); }, {"a step left out \"t2\"", "16777216"}));
  optimizer.check();
}

TEST_F(CudaGivenMemory, TheFirstOfManyCountersWithoutACountIsNamed) {
  constexpr std::size_t kCount = 700;
  const Counted counted(kCount);
  Optimizer optimizer(SGD{}, counted.parameters);
  for (const std::size_t bad : {650, 421, 202, 699}) counted.set(bad, -1.0);
  optimizer.step();
  EXPECT_TRUE(refused([&] { optimizer.check(); }, {"a step left out \"t202\"", "holds -1"}));
  EXPECT_EQ(optimizer.step_count("t201"), 1);
  EXPECT_EQ(read(counted.parameters[202].value)[0], 1.0f);
  EXPECT_NE(read(counted.parameters[203].value)[0], 1.0f);
}

TEST_F(CudaGivenMemory, LeavesTheOptimizerWithItsParameter) {
  const std::vector<Shape> shapes{{.numel = 70}, {.numel = 1100}, {.numel = 33}};
  const std::vector<Shape> some{{.numel = 70, .id = 0}, {.numel = 33, .id = 2}};
  Model gpu(shapes, kGpu), cpu(some);
  CallersMemory memory(kGpu);
  const auto required = Optimizer::required_memory(AdamW{}, gpu.parameters());
  const std::vector<Parameter> parameters =
      memory.give(gpu.parameters(), required, Contents::first, everything);
  Optimizer actual(AdamW{}, parameters), wanted(AdamW{}, cpu.parameters());
  train(gpu, actual, 2);
  train(cpu, wanted, 2);
  actual.remove_parameters({"t1"});
  const std::vector<std::byte> left = bytes_of(parameters[1].streams[0].tensor);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  for (int step = 3; step <= 4; ++step) {
    draw_and_wait(gpu, step);
    cpu.draw_gradients(step, 200);
    graph.replay(stream);
    wanted.step();
    stream.wait();
  }
  EXPECT_TRUE(
      equal_bits(snapshot(cpu.parameters(), wanted), snapshot({parameters[0], parameters[2]}, actual)));
  EXPECT_EQ(left, bytes_of(parameters[1].streams[0].tensor));

  actual.remove_parameters({"t0", "t2"});
  actual.step();
  EXPECT_EQ(actual.steps(), 5);
  EXPECT_EQ(actual.penalty(), 0.0);
  EXPECT_TRUE(memory.intact());
}

TEST_F(CudaGivenMemory, MustLieOnTheDeviceOfTheValue) {
  Model model({{.numel = 70}}, kGpu);
  std::vector<float> host(70);
  float counter = 0.0f;
  std::vector<Parameter> parameters = model.parameters();
  parameters[0].streams = {{"exp_avg", host}};
  EXPECT_TRUE(refused([&] { Optimizer(AdamW{}, parameters); }, {"exp_avg of \"t0\" is on cpu", "cuda:0"}));
  parameters[0].streams = {{"step", {&counter, 1, kGpu}}};
  EXPECT_TRUE(refused([&] { Optimizer(AdamW{}, parameters); }, {"step of \"t0\"", "its memory is on cpu"}));
}

}  // namespace
}  // namespace onepass::test
