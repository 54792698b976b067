// dropout_test.cpp - dropout on the GPU: it gives the bits of the CPU, graph replays draw new masks, and the
// random state can be saved and restored.
#include "onepass/regularizers/dropout.hpp"
#include "kernels/cuda_test.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class CudaDropout : public CudaTest {};

constexpr RandomPosition kPosition{.seed = 0x0fedcba987654321, .offset = (std::int64_t{3} << 32) + 5};

/// Returns heavy-tailed numbers, including some that are not finite.
std::vector<float> activations(std::int64_t numel, std::uint64_t salt = 0) {
  std::vector<float> values(static_cast<std::size_t>(numel));
  draw_gradient(values, salt, 3, 10);
  return values;
}

GuardedBuffer on(Device device, std::span<const float> values, int misalignment = 0) {
  GuardedBuffer buffer(device, static_cast<std::int64_t>(values.size()), misalignment);
  buffer.write(values);
  return buffer;
}

/// One call: the range of elements, and the misalignment of its tensors.
struct Case {
  std::int64_t first, numel;
  int out, in, residual;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t numel : {0, 1, 3, 4, 5, 7, 8, 1023, 1024, 1025, 9001}) {
    all.push_back({0, numel, 0, 0, 0});
    for (int i = 0; i < 4; ++i) all.push_back({i + 1000, numel, i, (i + 1) % 4, (i + 2) % 4});
    // The range starts inside a draw. The draws are aligned in all tensors, or in all but one.
    all.push_back({1001, numel, 1, 1, 1});
    all.push_back({1001, numel, 2, 1, 1});
    all.push_back({1002, numel, 2, 3, 2});
    all.push_back({1003, numel, 3, 3, 1});
  }
  return all;
}

/// Returns the output of one call on a device.
std::vector<float> result(Device device, const Case& one, double p, bool with_residual, bool backward) {
  const RandomState state(device, kPosition);
  const GuardedBuffer in = on(device, activations(one.numel), one.in);
  const GuardedBuffer residual = on(device, activations(one.numel, 1), one.residual);
  GuardedBuffer out(device, one.numel, one.out);
  const DropoutCall call{.out = out.tensor(),
                         .in = in.tensor(),
                         .residual = with_residual ? residual.tensor() : Tensor{},
                         .site = 12,
                         .first = one.first};
  (backward ? dropout_backward : dropout_forward)(Dropout{p}, call, state, {});
  EXPECT_TRUE(out.intact());
  return out.read();
}

TEST_F(CudaDropout, GivesTheBitsOfTheCpu) {
  for (const Case& one : cases()) {
    for (const double p : {0.0, 0.3, 1.0}) {
      for (const bool residual : {false, true}) {
        ASSERT_TRUE(
            equal_bits(result(Device::cpu(), one, p, residual, false), result(kGpu, one, p, residual, false)))
            << one.numel << " from " << one.first << ", p " << p << (residual ? ", residual" : "");
      }
    }
  }
}

TEST_F(CudaDropout, GivesTheBitsOfTheCpuWhenEachThreadTakesSeveralTurns) {
  const std::int64_t one_turn = RandomState(kGpu, {}).dropout_blocks() * 1024;
  const Case one{2, 2 * one_turn + 5, 2, 2, 2};
  EXPECT_TRUE(equal_bits(result(Device::cpu(), one, 0.3, true, false), result(kGpu, one, 0.3, true, false)));
}

TEST_F(CudaDropout, BackwardUsesTheMaskOfForwardOnBothDevices) {
  const Case one{3, 4099, 0, 1, 2};
  const std::vector<float> forward = result(kGpu, one, 0.4, false, false);
  EXPECT_TRUE(equal_bits(forward, result(kGpu, one, 0.4, false, true)));
  EXPECT_TRUE(equal_bits(forward, result(Device::cpu(), one, 0.4, false, true)));
}

// Payloads of signalling NaNs are copied, too.
TEST_F(CudaDropout, ProbabilityZeroCopiesEveryBit) {
  std::vector<float> in(70, std::bit_cast<float>(0x7fa5c3e1u));
  in[3] = -0.0f;
  in[64] = std::bit_cast<float>(0xffc12345u);
  const GuardedBuffer from = on(kGpu, in);
  GuardedBuffer to(kGpu, 70, 1);
  const RandomState state(kGpu, kPosition);
  dropout_forward({0.0}, {.out = to.tensor(), .in = from.tensor()}, state);
  const std::vector<float> out = to.read();
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(in[i]), std::bit_cast<std::uint32_t>(out[i])) << i;
  }
}

TEST_F(CudaDropout, InPlaceGivesTheBitsOfTheCpu) {
  const std::vector<float> in = activations(2051);
  const RandomState state(kGpu, kPosition), cpu_state(Device::cpu(), kPosition);
  for (const bool residual : {false, true}) {
    GuardedBuffer gpu = on(kGpu, in), cpu = on(Device::cpu(), in);
    const auto in_place = [&](const Tensor& tensor, const RandomState& from) {
      dropout_forward({0.4}, {.out = tensor, .in = tensor, .residual = residual ? tensor : Tensor{}}, from);
    };
    in_place(gpu.tensor(), state);
    in_place(cpu.tensor(), cpu_state);
    EXPECT_TRUE(equal_bits(cpu.read(), gpu.read()));
  }
}

TEST_F(CudaDropout, StateCountsStepsAndIsRestored) {
  const CudaStream stream;
  RandomState state(kGpu, {.seed = 7, .offset = 3});
  EXPECT_EQ(state.saved(), (RandomPosition{7, 3}));
  state.advance(stream);
  state.advance(stream);
  const RandomPosition saved = state.saved(stream);
  EXPECT_EQ(saved, (RandomPosition{7, 5}));
  state.advance(stream);
  state.restore(saved, stream);
  EXPECT_EQ(state.saved(stream), saved);
  RandomState later(kGpu, {.seed = 9, .offset = 0xffffffff});
  later.advance(stream);
  EXPECT_EQ(later.saved(stream), (RandomPosition{9, std::int64_t{1} << 32}));
}

/// The dropout work of one training step: forward, backward and advance.
struct Step {
  const GuardedBuffer& in;
  GuardedBuffer& out;
  GuardedBuffer& gradient;
  RandomState& state;

  void operator()(Stream stream) const {
    dropout_forward({0.5}, {.out = out.tensor(), .in = in.tensor(), .site = 2}, state, stream);
    dropout_backward({0.5}, {.out = gradient.tensor(), .in = in.tensor(), .site = 2}, state, stream);
    state.advance(stream);
  }
};

TEST_F(CudaDropout, GraphReplaysDrawNewMasksThatEqualThoseOfOrdinarySteps) {
  const std::vector<float> ones(3001, 1.0f);
  const GuardedBuffer in = on(kGpu, ones), cpu_in = on(Device::cpu(), ones);
  GuardedBuffer out(kGpu, 3001, 0), gradient(kGpu, 3001, 1);
  GuardedBuffer cpu_out(Device::cpu(), 3001, 0), cpu_gradient(Device::cpu(), 3001, 1);
  RandomState state(kGpu, {.seed = 4}), cpu_state(Device::cpu(), {.seed = 4});
  const Step step{in, out, gradient, state}, cpu_step{cpu_in, cpu_out, cpu_gradient, cpu_state};
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { step(stream); });
  EXPECT_EQ(graph.kernel_nodes(), 3);
  EXPECT_EQ(graph.node_count(), 3);
  EXPECT_EQ(state.saved(), (RandomPosition{4, 0})) << "capturing must run nothing";

  std::vector<std::vector<float>> masks;
  for (int i = 0; i < 6; ++i) {
    if (i == 3) {  // an ordinary step in between, and another seed, which the graph must follow
      step(stream);
      cpu_step({});
      state.restore({.seed = 5, .offset = 100}, stream);
      cpu_state.restore({.seed = 5, .offset = 100});
    }
    graph.replay(stream);
    stream.wait();
    cpu_step({});
    EXPECT_TRUE(equal_bits(cpu_out.read(), out.read())) << "replay " << i;
    EXPECT_TRUE(equal_bits(out.read(), gradient.read())) << "replay " << i;
    for (const std::vector<float>& earlier : masks) EXPECT_NE(earlier, out.read());
    masks.push_back(out.read());
  }
  EXPECT_EQ(state.saved(stream), (RandomPosition{5, 103}));
}

TEST_F(CudaDropout, TensorsOnOtherDevicesAreRefusedAndNothingChanges) {
  const RandomState state(kGpu, {}), cpu_state(Device::cpu(), {});
  std::vector<float> host(8, 1.0f);
  GuardedBuffer device = on(kGpu, host);
  const Tensor said{host.data(), 8, kGpu};
  EXPECT_TRUE(refused([&] { dropout_forward({0.5}, {.out = device.tensor(), .in = said}, state); },
                      {"in", "cuda:0", "cpu"}));
  EXPECT_TRUE(refused([&] { dropout_forward({0.5}, {.out = host, .in = device.tensor()}, state); },
                      {"out", "cuda:0", "cpu"}));
  EXPECT_TRUE(
      refused([&] { dropout_forward({0.5}, {.out = device.tensor(), .in = device.tensor()}, cpu_state); },
              {"in", "cuda:0", "cpu"}));
  EXPECT_TRUE(equal_bits(std::vector<float>(8, 1.0f), device.read()));
}

}  // namespace
}  // namespace onepass::test
