// training_graph_test.cpp - a whole training step in one graph: dropout, norm, prepare, update. All of them
// read their settings from the device's memory when the graph is replayed.
#include <algorithm>
#include <limits>

#include "kernels/cuda_test.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class TrainingGraph : public CudaTest {};

constexpr int kSteps = 100;
const std::vector<Shape> kShapes{{.numel = 1030, .group = 0},
                                 {.numel = 0, .group = 1},
                                 {.numel = 133, .value_misalignment = 1, .group = 1},
                                 {.numel = 65, .grad_misalignment = 3, .group = 0}};

/// A training step: gradients pass through dropout to an optimizer that has every feature switched on.
class Training {
 public:
  explicit Training(Device device)
      : device_(device),
        backward_(kShapes, device),
        model_(kShapes, device),
        optimizer_({AdamW{.lr = 0.05, .weight_decay = 0.1, .l1 = 0.01}, AdamW{.lr = 0.02, .amsgrad = true}},
                   model_.parameters()),
        random_(device, {.seed = 42, .offset = 0}) {
    optimizer_.set_schedule(
        SequentialLR{.schedules = {WarmUp{.steps = 10}, OneCycleLR{.max_lr = 0.1, .total_steps = 60}},
                     .milestones = {10}});
    optimizer_.set_schedule(CosineAnnealingLR{.T_max = 50}, 1);
    optimizer_.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 2.0},
                                      .clip_value = 0.5,
                                      .nonfinite = NonFinite::skip,
                                      .loss_scaler = LossScaler{.init_scale = 1024.0, .growth_interval = 7},
                                      .zero_grad = true});
    synchronize(device);
  }

  /// Writes the gradients of a step from the host. Every fifth step has infinite gradients.
  void draw(int step) {
    std::vector<float> gradient;
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      gradient.resize(static_cast<std::size_t>(kShapes[i].numel));
      for (std::size_t e = 0; e < gradient.size(); ++e) {
        gradient[e] =
            static_cast<float>(uniform(mix(static_cast<std::uint64_t>(step) << 20 | i << 16 | e)) - 0.5);
      }
      if (step % 5 == 3 && !gradient.empty()) {
        std::fill(gradient.begin(), gradient.end(), std::numeric_limits<float>::infinity());
      }
      backward_.grad(i).write(gradient);
    }
    synchronize(device_);
  }

  /// Queues the device's work of a training step. A graph can capture all of it.
  void step(Stream stream = {}) {
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      dropout_forward({.p = 0.3},
                      {.out = model_.grad(i).tensor(),
                       .in = backward_.grad(i).tensor(),
                       .site = static_cast<std::uint32_t>(i)},
                      random_, stream);
    }
    optimizer_.step(stream);
    random_.advance(stream);
  }

  [[nodiscard]] Snapshot snapshot() {
    Snapshot all;
    synchronize(device_);
    for (const Parameter& parameter : model_.parameters()) {
      all[parameter.name] = read(parameter.value);
      all[parameter.name + ".grad"] = read(parameter.grad);
      all[parameter.name + ".step"] = {static_cast<float>(optimizer_.step_count(parameter.name))};
      for (const char* name : optimizer_.state_names(parameter.name)) {
        all[parameter.name + "." + name] = read(optimizer_.state(parameter.name, name));
      }
    }
    all["norm"] = {static_cast<float>(optimizer_.grad_norm())};
    all["scale"] = {optimizer_.loss_scale()};
    all["skipped"] = {static_cast<float>(optimizer_.skipped_steps())};
    all["offset"] = {static_cast<float>(random_.saved().offset)};
    return all;
  }

 private:
  Device device_;
  Model backward_;
  Model model_;
  Optimizer optimizer_;
  RandomState random_;
};

TEST_F(TrainingGraph, HundredReplaysEqualHundredSteps) {
  Training cpu(Device::cpu()), stepped(kGpu), replayed(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { replayed.step(stream); });
  // Dropout of the three tensors that are not empty; norm, prepare and the updates of two programs; the
  // advance of the random state.
  EXPECT_EQ(graph.kernel_nodes(), 3 + 4 + 1);
  EXPECT_EQ(graph.node_count(), graph.kernel_nodes());
  for (int step = 1; step <= kSteps; ++step) {
    for (Training* training : {&cpu, &stepped, &replayed}) training->draw(step);
    cpu.step();
    stepped.step(stream);
    graph.replay(stream);
    stream.wait();
  }
  const Snapshot expected = cpu.snapshot();
  EXPECT_EQ(expected.at("skipped").front(), kSteps / 5);
  EXPECT_TRUE(equal_bits(expected, stepped.snapshot()));
  EXPECT_TRUE(equal_bits(expected, replayed.snapshot()));
}

}  // namespace
}  // namespace onepass::test
