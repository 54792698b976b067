// programs_test.cpp - groups of different rules on CUDA: the bits of the CPU, and launches that depend on the
// programs alone.
#include "support/programs.hpp"
#include "kernels/cuda_test.hpp"

namespace onepass::test {
namespace {

class CudaPrograms : public CudaTest {};

const GradientHandling kClipped{
    .clip_norm = ClipGradNorm{.max_norm = 0.5}, .nonfinite = NonFinite::skip, .zero_grad = true};

TEST_F(CudaPrograms, MixedGroupsHaveTheBitsOfTheCpu) {
  const std::vector<Shape> shapes = interleaved_shapes(mixed_rules().size());
  for (const GradientHandling& handling : {GradientHandling{}, kClipped}) {
    const auto trained = [&](Device device) {
      Model model(shapes, device);
      Optimizer optimizer{mixed_rules(), model.parameters(), {.ema = EMA{}}};
      optimizer.set_gradient_handling(handling);
      optimizer.set_schedule(StepLR{.step_size = 2, .gamma = 0.5}, 1);
      for (int step = 1; step <= 5; ++step) {
        step % 2 == 0 ? model.draw_gradients(step, 30) : model.draw_finite_gradients(step);
        optimizer.step();
        synchronize(device);
      }
      EXPECT_TRUE(model.intact());
      Snapshot all = snapshot(model.parameters(), optimizer);
      all["counts"] = {static_cast<float>(optimizer.grad_norm()), static_cast<float>(optimizer.steps()),
                       static_cast<float>(optimizer.skipped_steps())};
      return all;
    };
    EXPECT_TRUE(equal_bits(trained(Device::cpu()), trained(kGpu)));
  }
}

TEST_F(CudaPrograms, AccumulatedGradientsReachEveryGroup) {
  const std::vector<Shape> shapes = interleaved_shapes(mixed_rules().size());
  const auto trained = [&](Device device) {
    Model model(shapes, device);
    Optimizer optimizer{mixed_rules(), model.parameters(), {.accumulates_gradients = true}};
    optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}});
    for (int batch = 1; batch <= 6; ++batch) {
      model.draw_finite_gradients(batch);
      optimizer.accumulate();
      synchronize(device);
      if (batch % 2 == 0) optimizer.step();
    }
    return snapshot(model.parameters(), optimizer);
  };
  EXPECT_TRUE(equal_bits(trained(Device::cpu()), trained(kGpu)));
}

/// Counts the nodes of a captured step over `tensors` tensors, which take the groups in turn.
std::size_t launches(const std::vector<Rule>& rules, int tensors, bool measures) {
  std::vector<Shape> shapes;
  for (int i = 0; i < tensors; ++i) {
    shapes.push_back({.numel = 1 + i % 5, .group = static_cast<std::size_t>(i) % rules.size()});
  }
  Model model(shapes, kGpu);
  Optimizer optimizer{rules, model.parameters()};
  if (measures) optimizer.clip_grad_norm(1.0);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { optimizer.step(stream); });
  EXPECT_EQ(graph.kernel_nodes(), graph.node_count());
  return static_cast<std::size_t>(graph.node_count());
}

// A launch of prepare for each type of rule, one of the update for each program, and one for the norm.
TEST_F(CudaPrograms, LaunchesDependOnTheProgramsAlone) {
  const std::vector<Rule> one{AdamW{}}, three{SGD{}, AdamW{}, RMSProp{}};
  for (const int tensors : {1, 2000}) EXPECT_EQ(launches(one, tensors, false), 2u) << tensors;
  EXPECT_EQ(launches(three, 3, false), 6u);
  EXPECT_EQ(launches(three, 2000, false), 6u);
  EXPECT_EQ(launches(three, 2000, true), 7u);
  EXPECT_EQ(launches(three, 1, false), 2u) << "groups without tensors take no launch";
  EXPECT_EQ(launches({AdamW{}, AdamW{.lr = 0.5}, AdamW{.beta1 = 0.5}}, 2000, false), 2u);
  EXPECT_EQ(launches({AdamW{}, AdamW{.amsgrad = true}}, 2000, false), 3u);
  EXPECT_EQ(launches({Adam{}, AdamW{}}, 2000, false), 3u) << "Adam and AdamW share their update";
}

}  // namespace
}  // namespace onepass::test
