// graph_test.cpp - a step can be captured, has a fixed number of launches for any model, and a replay is a
// step.
#include "host/backend/rule_ops.hpp"
#include "kernels/cuda_test.hpp"

namespace onepass::test {
namespace {

class CudaGraph : public CudaTest {};

const std::vector<Shape> kShapes{
    {.numel = 70}, {.numel = 0}, {.numel = 133, .value_misalignment = 1}, {.numel = 3}};

std::vector<Shape> many(int tensors) {
  std::vector<Shape> shapes;
  for (int i = 0; i < tensors; ++i) shapes.push_back({.numel = 1 + i % 5});
  return shapes;
}

// The launches are prepare and the update. There is no copy and no memset.
// A rule that takes sums over tensors has a launch for them, and one that completes the coefficients.
TEST_F(CudaGraph, StepIsTwoLaunchesOrFourForOneTensorAndForTwoThousand) {
  for (const int tensors : {1, 2000}) {
    for (const RuleCase& rule : one_case_per_layout()) {
      const bool sums = rule.rule.ops().takes_sums(rule.rule.bytes());
      if (tensors > 1 && rule.name != "AdamW_plain_coupled" && rule.name != "MARS_plain_coupled") continue;
      SCOPED_TRACE(rule.name + ", " + std::to_string(tensors) + " tensors");
      Model model(many(tensors), kGpu);
      Optimizer optimizer = rule.make(model.parameters());
      synchronize(kGpu);
      const CudaStream stream;
      const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
      EXPECT_EQ(graph.kernel_nodes(), sums ? 4 : 2);
      EXPECT_EQ(graph.node_count(), sums ? 4 : 2);

      // Capturing has run nothing. The replays update every tensor.
      for (int step = 1; step <= 2; ++step) {
        draw_and_wait(model, step);
        graph.replay(stream);
        stream.wait();
      }
      EXPECT_TRUE(equal_bits(on_cpu(rule, many(tensors), 2), snapshot(model.parameters(), optimizer)));
    }
  }
}

TEST_F(CudaGraph, GroupsDoNotAddLaunches) {
  std::vector<Shape> shapes = many(6);
  for (std::size_t i = 0; i < shapes.size(); ++i) shapes[i].group = i % 3;
  Model model(shapes, kGpu);
  Optimizer optimizer(std::vector<SGD>{{}, {.maximize = true}, {.weight_decay = 0.1}}, model.parameters());
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  EXPECT_EQ(graph.kernel_nodes(), 2);
}

TEST_F(CudaGraph, ZeroGradIsOneLaunch) {
  Model model(many(50), kGpu);
  Optimizer optimizer(AdamW{}, model.parameters());
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.zero_grad(stream); });
  EXPECT_EQ(graph.kernel_nodes(), 1);
  EXPECT_EQ(graph.node_count(), 1);
  draw_and_wait(model, 3);
  graph.replay(stream);
  stream.wait();
  for (std::size_t i = 0; i < model.size(); ++i) {
    for (const float gradient : model.grad(i).read()) EXPECT_EQ(gradient, 0.0f);
  }
}

TEST_F(CudaGraph, ReplaysAndOrdinaryStepsMix) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Model model(kShapes, kGpu);
    Optimizer optimizer = rule.make(model.parameters());
    synchronize(kGpu);
    const CudaStream stream;
    const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
    for (int step = 1; step <= 4; ++step) {
      draw_and_wait(model, step);
      step == 2 ? optimizer.step(stream) : graph.replay(stream);
      stream.wait();
    }
    EXPECT_TRUE(equal_bits(on_cpu(rule, kShapes, 4), snapshot(model.parameters(), optimizer)));
    EXPECT_TRUE(model.intact());
  }
}

TEST_F(CudaGraph, ReplayFollowsAChangedRate) {
  Model cpu(kShapes), gpu(kShapes, kGpu);
  Optimizer wanted(AdamW{}, cpu.parameters());
  Optimizer actual(AdamW{}, gpu.parameters());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  for (int step = 1; step <= 3; ++step) {
    cpu.draw_gradients(step, 200);
    wanted.set_lr(0.1 * step);
    wanted.step();
    draw_and_wait(gpu, step);
    actual.set_lr(0.1 * step, stream);
    graph.replay(stream);
    stream.wait();
  }
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

TEST_F(CudaGraph, ReplayFollowsChangedGradients) {
  Model cpu(kShapes), gpu(kShapes, kGpu), elsewhere(kShapes, kGpu);
  Optimizer wanted(Adam{}, cpu.parameters());
  Optimizer actual(Adam{}, gpu.parameters());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  train(cpu, wanted, 1);
  draw_and_wait(gpu, 1);
  graph.replay(stream);

  std::vector<Tensor> gradients = elsewhere.gradients();
  gradients[2] = Tensor{};
  std::vector<Tensor> without = cpu.gradients();
  without[2] = Tensor{};
  wanted.set_gradients(without);
  train(cpu, wanted, 1, 2);
  draw_and_wait(elsewhere, 2);
  actual.set_gradients(gradients, stream);
  graph.replay(stream);
  stream.wait();
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
  EXPECT_EQ(actual.step_count("t2"), 1);
}

TEST_F(CudaGraph, ReplayReadsFoundInfWhenItRuns) {
  Model model(kShapes, kGpu);
  Optimizer optimizer(AdamW{}, model.parameters());
  DeviceFloat found_inf(0.0f);
  optimizer.set_found_inf(found_inf.get());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  graph.replay(stream);
  stream.wait();
  const Snapshot before = snapshot(model.parameters(), optimizer);
  found_inf.set(1.0f);
  graph.replay(stream);
  graph.replay(stream);
  stream.wait();
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(optimizer.skipped_steps(), 2);
  EXPECT_EQ(optimizer.step_count("t0"), 1);
}

TEST_F(CudaGraph, ReplayContinuesFromLoadedStates) {
  Model model(kShapes, kGpu);
  Optimizer optimizer(Adam{}, model.parameters());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  const StateDict fresh = optimizer.state_dict();
  draw_and_wait(model, 1);
  graph.replay(stream);
  stream.wait();
  optimizer.load_state_dict(fresh, stream);
  EXPECT_EQ(optimizer.step_count("t0"), 0);
  graph.replay(stream);
  stream.wait();
  EXPECT_EQ(optimizer.step_count("t0"), 1);
}

}  // namespace
}  // namespace onepass::test
