// gradients_graph_test.cpp - the launches of a step that measures gradients, and its replays.
#include <limits>

#include "kernels/cuda_test.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class CudaGradientsGraph : public CudaTest {};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Sizes below and above a leaf, in two groups.
std::vector<Shape> tensors(int count) {
  std::vector<Shape> shapes;
  for (int i = 0; i < count; ++i) {
    shapes.push_back({.numel = i == 0 ? 1100 : i % 9,
                      .grad_misalignment = i % 4,
                      .group = static_cast<std::size_t>(i % 2)});
  }
  return shapes;
}

/// One group with AMSGrad and one without, which are two programs: a step over both has two updates.
Optimizer two_groups(const Model& model, const Options& options = {}) {
  return Optimizer(
      std::vector<AdamW>{{.lr = 0.01, .weight_decay = 0.1}, {.lr = 0.02, .l1 = 0.5, .amsgrad = true}},
      model.parameters(), options);
}

const GradientHandling kEverything{.clip_norm = ClipGradNorm{.max_norm = 0.5},
                                   .clip_value = 0.1,
                                   .nonfinite = NonFinite::error,
                                   .loss_scaler = LossScaler{.init_scale = 64, .growth_interval = 3},
                                   .zero_grad = true};

TEST_F(CudaGradientsGraph, MeasuringTheGradientsIsOneLaunchMore) {
  for (const int count : {1, 200}) {
    Model model(tensors(count), kGpu);
    Optimizer optimizer = two_groups(model);
    synchronize(kGpu);
    const CudaStream stream;
    const int updates = count == 1 ? 1 : 2;
    const auto expect_nodes = [&](const GradientHandling& handling, int measures) {
      const int kernels = measures + 1 + updates;
      optimizer.set_gradient_handling(handling, stream);
      const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
      EXPECT_EQ(graph.kernel_nodes(), kernels) << count << " tensors";
      EXPECT_EQ(graph.node_count(), kernels) << count << " tensors";
    };
    expect_nodes({}, 0);
    expect_nodes({.clip_value = 1.0, .loss_scale = 8.0, .zero_grad = true}, 0);
    expect_nodes({.clip_norm = ClipGradNorm{.max_norm = 1.0}}, 1);
    expect_nodes({.nonfinite = NonFinite::skip}, 1);
    expect_nodes({.loss_scaler = LossScaler{}}, 1);
    expect_nodes(kEverything, 1);
  }
}

TEST_F(CudaGradientsGraph, AccumulationIsOneLaunch) {
  for (const int count : {1, 200}) {
    Model model(tensors(count), kGpu);
    Optimizer optimizer = two_groups(model, {.accumulates_gradients = true});
    optimizer.set_gradient_handling(kEverything);
    synchronize(kGpu);
    const CudaStream stream;
    const CapturedGraph batch(stream, [&] { optimizer.accumulate(stream); });
    EXPECT_EQ(batch.kernel_nodes(), 1);
    EXPECT_EQ(batch.node_count(), 1);
    const CapturedGraph step(stream, [&] { optimizer.step(stream); });
    EXPECT_EQ(step.kernel_nodes(), count == 1 ? 3 : 4);
  }
}

/// Draws gradients. Every seventh step has a NaN, and every eleventh an Inf near the end of the first tensor.
void draw(Model& model, int step) {
  model.draw_finite_gradients(step);
  std::vector<float> gradient = model.grad(0).read();
  if (step % 7 == 3) gradient[static_cast<std::size_t>(step)] = kNaN;
  if (step % 11 == 5) gradient[1099] = std::numeric_limits<float>::infinity();
  model.grad(0).write(gradient);
  synchronize(kGpu);
}

TEST_F(CudaGradientsGraph, AHundredReplaysEqualAHundredSteps) {
  Model cpu(tensors(7)), gpu(tensors(7), kGpu), replayed(tensors(7), kGpu);
  Optimizer wanted = two_groups(cpu), actual = two_groups(gpu), captured = two_groups(replayed);
  for (Optimizer* one : {&wanted, &actual, &captured}) one->set_gradient_handling(kEverything);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { captured.step(stream); });
  for (int step = 1; step <= 100; ++step) {
    draw(cpu, step);
    wanted.step();
    draw(gpu, step);
    actual.step();
    draw(replayed, step);
    graph.replay(stream);
    stream.wait();
  }
  EXPECT_GT(captured.skipped_steps(), 15);
  EXPECT_EQ(actual.skipped_steps(), captured.skipped_steps());
  EXPECT_EQ(actual.loss_scale(), captured.loss_scale());
  EXPECT_THROW(captured.check(), NonFiniteGradient);
  const Snapshot stepped = snapshot(gpu.parameters(), actual);
  EXPECT_TRUE(equal_bits(stepped, snapshot(replayed.parameters(), captured)));
  EXPECT_TRUE(equal_bits(stepped, snapshot(cpu.parameters(), wanted)));
}

TEST_F(CudaGradientsGraph, ReplayedAccumulationEqualsOrdinaryAccumulation) {
  const Options options{.accumulates_gradients = true};
  Model gpu(tensors(5), kGpu), replayed(tensors(5), kGpu);
  Optimizer actual = two_groups(gpu, options), captured = two_groups(replayed, options);
  actual.set_gradient_handling(kEverything);
  captured.set_gradient_handling(kEverything);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph batch(stream, [&] { captured.accumulate(stream); });
  const CapturedGraph step(stream, [&] { captured.step(stream); });
  for (int i = 1; i <= 24; ++i) {
    draw(gpu, i);
    actual.accumulate();
    draw(replayed, i);
    batch.replay(stream);
    if (i % 3 == 0) {
      actual.step();
      step.replay(stream);
    }
    stream.wait();
  }
  EXPECT_GT(captured.skipped_steps(), 2);
  EXPECT_TRUE(equal_bits(snapshot(gpu.parameters(), actual), snapshot(replayed.parameters(), captured)));
}

// The norm launch reads from the table what to measure, as the other launches do.
TEST_F(CudaGradientsGraph, ReplayFollowsChangedHandling) {
  Model cpu(tensors(5)), gpu(tensors(5), kGpu);
  Optimizer wanted = two_groups(cpu), actual = two_groups(gpu);
  const GradientHandling handlings[] = {
      {.clip_norm = ClipGradNorm{.max_norm = 0.5}},
      {.clip_norm = ClipGradNorm{.max_norm = 0.3, .norm_type = NormType::l1, .formula = ClipFormula::exact}},
      {.clip_value = 0.02},  // measures nothing; the result of the previous launch must not count later
      {.loss_scale = 4.0, .zero_grad = true},
      {.clip_norm = ClipGradNorm{.max_norm = 0.2}},
      {.clip_norm = ClipGradNorm{.max_norm = 0.1, .norm_type = NormType::infinity}},
      {.nonfinite = NonFinite::skip},
      {.clip_norm = ClipGradNorm{.max_norm = 0.5},
       .loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 1}}};
  actual.set_gradient_handling(handlings[0]);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  int step = 0;
  for (const GradientHandling& handling : handlings) {
    wanted.set_gradient_handling(handling);
    actual.set_gradient_handling(handling, stream);
    for (int i = 0; i < 2; ++i) {
      ++step;
      cpu.draw_finite_gradients(step);
      gpu.draw_finite_gradients(step);
      synchronize(kGpu);
      wanted.step();
      graph.replay(stream);
      stream.wait();
      EXPECT_EQ(wanted.grad_norm(), actual.grad_norm(stream)) << "step " << step;
    }
  }
  EXPECT_EQ(wanted.loss_scale(), actual.loss_scale());
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

TEST_F(CudaGradientsGraph, FetchedNormFollowsReplays) {
  Model model(tensors(3), kGpu);
  Optimizer optimizer = two_groups(model);
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}});
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] {
    optimizer.step(stream);
    optimizer.fetch_grad_norm(stream);
  });
  EXPECT_EQ(graph.node_count(), 5);  // norm, prepare, two updates, and the copy
  for (int step = 1; step <= 3; ++step) {
    model.draw_finite_gradients(step);
    synchronize(kGpu);
    graph.replay(stream);
    stream.wait();
    EXPECT_EQ(optimizer.grad_norm(stream), optimizer.fetched_grad_norm());
    EXPECT_GT(optimizer.fetched_grad_norm(), 0.0);
  }
}

}  // namespace
}  // namespace onepass::test
