// shared_loss_scaler_test.cpp - optimizers that share a loss scale on CUDA have the bits of the CPU's, in
// graphs too.
#include <limits>

#include "kernels/gradient_pair.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class CudaSharedLossScaler : public CudaTest {};

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr LossScaler kSettings{
    .init_scale = 1000, .growth_factor = 1.7, .backoff_factor = 0.31, .growth_interval = 2};

/// Two pairs of optimizers and a scaler for each device. The second pair accumulates.
struct Shared {
  SharedLossScaler cpu{Device::cpu(), kSettings}, gpu{kGpu, kSettings};
  Pair often, seldom;

  Shared()
      : often({{.numel = 5}, {.numel = 1100, .grad_misalignment = 1}}, {}),
        seldom({{.numel = 70}, {.numel = 3}}, {}, {.accumulates_gradients = true}) {
    for (Pair* pair : {&often, &seldom}) {
      pair->wanted.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .shared_scaler = &cpu});
      pair->actual.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .shared_scaler = &gpu});
    }
  }

  void draw(int round) {
    const auto key = static_cast<std::uint64_t>(round);
    const bool bad = uniform(2 * key) < 0.2, also_bad = uniform(2 * key + 1) < 0.1;
    often.both([&](Model& model, Optimizer&) {
      model.draw_finite_gradients(round);
      if (bad) spoil(model, 1, 1099, kInf);
    });
    seldom.both([&](Model& model, Optimizer&) {
      model.draw_finite_gradients(round);
      if (also_bad) spoil(model, 0, 69, kInf);
    });
    synchronize(kGpu);
  }
  void expect_same() {
    EXPECT_TRUE(same_bits(cpu.scale(), gpu.scale()));
    EXPECT_EQ(cpu.state().growth_tracker, gpu.state().growth_tracker);
    often.expect_same();
    seldom.expect_same();
  }
};

TEST_F(CudaSharedLossScaler, RoundsAndWindowsGiveTheBitsOfTheCpu) {
  Shared shared;
  for (int round = 0; round < 60; ++round) {
    shared.draw(round);
    shared.seldom.both([](Model&, Optimizer& optimizer) { optimizer.accumulate({.weight = 1.5}); });
    shared.often.both([](Model&, Optimizer& optimizer) { optimizer.step(); });
    if (round % 3 == 2) shared.seldom.both([](Model&, Optimizer& optimizer) { optimizer.step(); });
    shared.cpu.update();
    shared.gpu.update();
    ASSERT_TRUE(same_bits(shared.cpu.scale(), shared.gpu.scale())) << round;
  }
  EXPECT_GT(shared.often.actual.skipped_steps(), 5);
  EXPECT_GT(shared.seldom.actual.steps(), 5);
  shared.expect_same();
}

TEST_F(CudaSharedLossScaler, WholeRoundsCanBeReplayed) {
  Shared shared;
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] {
    shared.seldom.actual.accumulate(stream);
    shared.often.actual.step(stream);
    shared.seldom.actual.step(stream);
    shared.gpu.update(stream);
  });
  for (int round = 0; round < 20; ++round) {
    shared.draw(round);
    shared.seldom.wanted.accumulate();
    shared.seldom.wanted.step();
    shared.often.wanted.step();
    shared.cpu.update();
    graph.replay(stream);
    stream.wait();
  }
  shared.expect_same();
}

TEST_F(CudaSharedLossScaler, ScaleLiesOnTheDeviceAndContinuesThere) {
  Shared shared;
  float scale = 0.0f;
  copy({Device::cpu(), &scale}, {kGpu, shared.gpu.scale_pointer()}, sizeof scale);
  EXPECT_EQ(scale, 1000.0f);
  EXPECT_EQ(shared.often.actual.loss_scale(), 1000.0f);
  shared.gpu.load_state({.scale = 8.0f, .growth_tracker = 1});
  EXPECT_EQ(shared.gpu.state(), (SharedLossScaler::State{.scale = 8.0f, .growth_tracker = 1}));
  EXPECT_THROW(shared.often.actual.set_gradient_handling({.shared_scaler = &shared.cpu}), InvalidArgument);
  EXPECT_THROW(shared.often.wanted.set_gradient_handling({.shared_scaler = &shared.gpu}), InvalidArgument);
}

}  // namespace
}  // namespace onepass::test
