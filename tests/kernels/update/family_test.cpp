// family_test.cpp - scalars, sweeps and forms of decay have on CUDA the bits of the CPU, and a model with
// four different rules steps in one captured graph.
#include <limits>

#include "kernels/cuda_test.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/sample.hpp"

namespace onepass::test {
namespace {

class CudaFamily : public CudaTest {};

const std::vector<Shape> kShapes{
    {.numel = 70}, {.numel = 0, .id = 1}, {.numel = 133, .value_misalignment = 1, .id = 2}};

double scalar(Optimizer& optimizer, const std::string& parameter, const char* name) {
  const Tensor tensor = optimizer.state(parameter, name);
  double value = 0.0;
  copy({Device::cpu(), &value}, {tensor.device, tensor.data}, sizeof value);
  return value;
}

void spoil(GuardedBuffer& gradient) {
  std::vector<float> values = gradient.read();
  values[5] = std::numeric_limits<float>::infinity();
  gradient.write(values);
}

/// Calls work(model, optimizer) on both devices and expects the same bits.
template <class Work>
void expect_same(const std::vector<Rule>& rules, const std::vector<Shape>& shapes, const Work& work) {
  Model cpu(shapes), gpu(shapes, kGpu);
  Optimizer wanted(rules, cpu.parameters()), actual(rules, gpu.parameters());
  work(cpu, wanted);
  work(gpu, actual);
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

// The second step is skipped; the rate falls before the fourth.
TEST_F(CudaFamily, ScalarsFollowTheirOwnStepsWithTheBitsOfTheCpu) {
  const std::vector<Rule> rules{ScheduleFreeAdamW{.warmup_steps = 3.0, .r = 0.5}, NAdam{}, LaProp{}, ASGD{}};
  const std::vector<const char*> names{"weight_sum", "mu_product", "exp_avg_lr_1", "eta"};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    SCOPED_TRACE(rules[i].name());
    std::vector<double> found;
    expect_same({rules[i]}, kShapes, [&](Model& model, Optimizer& optimizer) {
      optimizer.set_gradient_handling({.nonfinite = NonFinite::skip});
      for (int step = 1; step <= 5; ++step) {
        model.draw_finite_gradients(step);
        if (step == 2) spoil(model.grad(2));
        if (step == 4) optimizer.set_lr(1e-4);
        optimizer.step();
      }
      EXPECT_EQ(optimizer.skipped_steps(), 1);
      found.push_back(scalar(optimizer, "t2", names[i]));
    });
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0], found[1]);
    EXPECT_NE(found[0], 0.0);
  }
}

TEST_F(CudaFamily, StateDictsCarryScalarsBetweenDevices) {
  Model cpu(kShapes), gpu(kShapes, kGpu);
  Optimizer saved(ScheduleFreeSGD{.lr = 0.1, .r = 1.0}, cpu.parameters());
  Optimizer loaded(ScheduleFreeSGD{.lr = 0.1, .r = 1.0}, gpu.parameters());
  train_finite(cpu, saved, 3);
  loaded.load_state_dict(saved.state_dict());
  EXPECT_EQ(scalar(loaded, "t0", "weight_sum"), scalar(saved, "t0", "weight_sum"));
  EXPECT_EQ(scalar(loaded, "t0", "lr_max"), 0.1);
}

TEST_F(CudaFamily, SweepsHaveTheBitsOfTheCpuInEveryFormat) {
  Sample sample;
  for (const FormatCase& format : all_format_cases()) {
    if (!sample.takes_next()) continue;
    SCOPED_TRACE(format.name);
    const auto after = [&](Device device) {
      FormatModel model(format, device, {100, 0, 1030});
      Optimizer optimizer(SophiaG{.lr = 0.01}, model.parameters(),
                          {.storage = format.low(), .float32_storage = format.wide(), .seed = 7});
      optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .loss_scale = 3.0});
      for (int step = 1; step <= 3; ++step) {
        model.draw_finite(10 * step);
        optimizer.sweep("update_hessian");
        model.draw_finite(step);
        optimizer.step();
      }
      EXPECT_TRUE(model.intact());
      return all_bytes(model, optimizer.state_dict());
    };
    EXPECT_EQ(after(Device::cpu()), after(kGpu));
  }
}

TEST_F(CudaFamily, SweepIsCapturedAfterItsFirstCall) {
  Model cpu(kShapes), gpu(kShapes, kGpu);
  Optimizer wanted(SophiaG{}, cpu.parameters()), actual(SophiaG{}, gpu.parameters());
  cpu.draw_finite_gradients(1);
  gpu.draw_finite_gradients(1);
  wanted.sweep("update_hessian");
  actual.sweep("update_hessian");
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.sweep("update_hessian", stream); });
  EXPECT_EQ(graph.kernel_nodes(), 2);
  for (int step = 2; step <= 4; ++step) {
    cpu.draw_finite_gradients(step);
    wanted.sweep("update_hessian");
    gpu.draw_finite_gradients(step);
    synchronize(kGpu);
    graph.replay(stream);
    stream.wait();
  }
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

TEST_F(CudaFamily, FormsOfDecayAndCautionHaveTheBitsOfTheCpu) {
  for (const char* const form : {"after", "proximal", "corrected", "cautious"}) {
    for (Rule rule : {Rule(SGD{.lr = 0.1, .momentum = 0.5, .weight_decay = 0.3}), Rule(AdamW{.lr = 0.1})}) {
      rule.set_text("weight_decay_mode", form);
      if (rule.has("caution")) rule.set_text("caution", "masked");
      SCOPED_TRACE(std::string(rule.name()) + ", " + form);
      expect_same({rule}, kShapes, [](Model& model, Optimizer& optimizer) {
        optimizer.set_schedule(ExponentialLR{.gamma = 0.5});
        train(model, optimizer, 3);
      });
    }
  }
}

// The second gradients change many signs.
TEST_F(CudaFamily, RescaledCautionHasTheBitsOfTheCpu) {
  for (const Rule& rule : library_rules()) {
    if (!rule.has("caution")) continue;
    for (const double amsgrad : {0.0, 1.0}) {
      Rule rescaled = rule;
      rescaled.set_text("caution", "rescaled");
      if (rule.has("amsgrad")) rescaled.set("amsgrad", amsgrad);
      if (amsgrad != 0.0 && !rule.has("amsgrad")) continue;
      SCOPED_TRACE(std::string(rule.name()));
      expect_same({rescaled}, kShapes,
                  [](Model& model, Optimizer& optimizer) { train(model, optimizer, 3); });
    }
  }
}

/// Three tensors for each of four rules.
std::vector<Shape> four_groups() {
  std::vector<Shape> shapes;
  for (int i = 0; i < 12; ++i) {
    shapes.push_back({.numel = 5 + 9 * i, .group = static_cast<std::size_t>(i % 4), .id = i});
  }
  return shapes;
}

// Clipped, scaled and scheduled: the graph that was captured once has the bits of 100 steps.
TEST_F(CudaFamily, ModelWithFourRulesIsOneGraph) {
  const std::vector<Rule> rules{AdamW{.lr = 0.01}, Lion{.lr = 0.001, .weight_decay = 0.1},
                                ScheduleFreeSGD{.lr = 0.1, .warmup_steps = 10.0}, LAMB{.lr = 0.01}};
  Model cpu(four_groups()), gpu(four_groups(), kGpu);
  Optimizer wanted(rules, cpu.parameters()), actual(rules, gpu.parameters());
  for (Optimizer* one : {&wanted, &actual}) {
    one->set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5},
                                .loss_scaler = LossScaler{.init_scale = 4.0, .growth_interval = 10}});
    one->set_schedule(CosineAnnealingLR{.T_max = 120});
  }
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  for (int step = 1; step <= 100; ++step) {
    cpu.draw_finite_gradients(step);
    wanted.step();
    gpu.draw_finite_gradients(step);
    synchronize(kGpu);
    graph.replay(stream);
    stream.wait();
  }
  EXPECT_EQ(actual.steps(), 100);
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

}  // namespace
}  // namespace onepass::test
