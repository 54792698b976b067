// lifetime_test.cpp - optimizers can be moved, destroyed, used on several threads, and hold thousands of
// tensors.
#include <gtest/gtest.h>

#include <thread>
#include <type_traits>
#include <utility>

#include "support/model.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

const std::vector<Shape> kShapes{{.numel = 70}, {.numel = 300, .value_misalignment = 1}};

Snapshot wanted_after(int steps, const AdamW& rule = {}) {
  Model model(kShapes);
  Optimizer optimizer(rule, model.parameters());
  train(model, optimizer, steps);
  return snapshot(model.parameters(), optimizer);
}

TEST(Lifetime, OptimizersMoveAndAreNotCopied) {
  EXPECT_TRUE(std::is_nothrow_move_constructible_v<Optimizer>);
  EXPECT_TRUE(std::is_nothrow_move_assignable_v<Optimizer>);
  EXPECT_FALSE(std::is_copy_constructible_v<Optimizer>);
  EXPECT_FALSE(std::is_copy_constructible_v<DeviceBuffer>);
}

TEST(Lifetime, MovedOptimizerContinues) {
  Model model(kShapes);
  Optimizer first{AdamW{}, model.parameters()};
  model.draw_gradients(1, 200);
  first.step();
  Optimizer second = std::move(first);
  model.draw_gradients(2, 200);
  second.step();
  Optimizer third(std::move(second));
  train(model, third, 1, 3);
  EXPECT_TRUE(equal_bits(wanted_after(3), snapshot(model.parameters(), third)));
}

TEST(Lifetime, MoveAssignmentReplacesTheOldOptimizer) {
  Model model(kShapes), other(std::vector<Shape>{{.numel = 5}});
  Optimizer target{AdamW{.lr = 0.5}, other.parameters()};
  target.step();
  Optimizer source{AdamW{}, model.parameters()};
  target = std::move(source);
  EXPECT_EQ(target.parameter_count(), 2u);
  EXPECT_EQ(target.rule<AdamW>().lr, AdamW{}.lr);
  Optimizer moved(std::move(target));
  train(model, moved, 2);
  EXPECT_TRUE(equal_bits(wanted_after(2), snapshot(model.parameters(), moved)));
}

TEST(Lifetime, ParametersOutliveTheOptimizer) {
  Model model(kShapes);
  {
    Optimizer optimizer(AdamW{}, model.parameters());
    train(model, optimizer, 2);
  }
  const Snapshot wanted = wanted_after(2);
  EXPECT_TRUE(equal_bits(Snapshot{{"t0", wanted.at("t0")}, {"t1", wanted.at("t1")}},
                         Snapshot{{"t0", model.value(0).read()}, {"t1", model.value(1).read()}}));
}

TEST(Lifetime, TwoOptimizersStepOnTwoThreadsAtOnce) {
  const std::vector<Shape> shapes{{.numel = 200000}, {.numel = 31}};
  constexpr int kSteps = 20;
  Model reference_model(shapes);
  Optimizer reference(AdamW{}, reference_model.parameters());
  train(reference_model, reference, kSteps);
  const Snapshot wanted = snapshot(reference_model.parameters(), reference);

  Model models[] = {Model(shapes), Model(shapes)};
  Optimizer optimizers[] = {Optimizer(AdamW{}, models[0].parameters(), {.threads = 2}),
                            Optimizer(AdamW{}, models[1].parameters(), {.threads = 2})};
  std::thread beside([&] { train(models[1], optimizers[1], kSteps); });
  train(models[0], optimizers[0], kSteps);
  beside.join();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(equal_bits(wanted, snapshot(models[i].parameters(), optimizers[i]))) << "optimizer " << i;
  }
}

TEST(Lifetime, OptimizerMayBeUsedFromOneThreadAfterAnother) {
  Model model(kShapes);
  Optimizer optimizer(AdamW{}, model.parameters());
  for (int step = 1; step <= 3; ++step) std::thread([&] { train(model, optimizer, 1, step); }).join();
  EXPECT_TRUE(equal_bits(wanted_after(3), snapshot(model.parameters(), optimizer)));
}

TEST(Lifetime, TwoThousandTensorsEachTakeTheirOwnStep) {
  std::vector<Shape> shapes;
  for (int i = 0; i < 2000; ++i) {
    shapes.push_back({.numel = i % 37, .value_misalignment = i % 4, .grad_misalignment = i % 3});
  }
  Model together(shapes);
  Optimizer optimizer(Adam{.weight_decay = 0.1}, together.parameters());
  train(together, optimizer, 3);
  EXPECT_TRUE(together.intact());
  for (int i = 1; i < 2000; i += 97) {
    Model alone(std::vector<Shape>{{.numel = i % 37, .id = i}});
    Optimizer single(Adam{.weight_decay = 0.1}, alone.parameters());
    train(alone, single, 3);
    EXPECT_TRUE(equal_bits(Snapshot{{"p", alone.value(0).read()}},
                           Snapshot{{"p", together.value(static_cast<std::size_t>(i)).read()}}))
        << "tensor " << i;
  }
}

// Buffers in a caller's arena touch each other. That is not an overlap.
TEST(Lifetime, ParametersMayLieSideBySideInOneArray) {
  std::vector<float> arena(40, 1.0f);
  const std::span<float> all(arena);
  Optimizer optimizer{SGD{.lr = 1.0},
                      std::vector<Parameter>{{"a", all.subspan(0, 10), all.subspan(20, 10)},
                                             {"b", all.subspan(10, 10), all.subspan(30, 10)}}};
  optimizer.step();
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(arena[i], i < 20 ? 0.0f : 1.0f) << i;
}

TEST(Lifetime, EmptyTensorNeedsNoMemory) {
  std::vector<float> p{1.0f}, gradient{1.0f};
  Optimizer optimizer{AdamW{}, std::vector<Parameter>{{"none", Tensor{}, Tensor{}},
                                                      {"p", std::span(p), std::span(gradient)},
                                                      {"nothing", Tensor{nullptr, 0}, Tensor{nullptr, 0}}}};
  optimizer.step();
  optimizer.zero_grad();
  EXPECT_NE(p[0], 1.0f);
  EXPECT_EQ(optimizer.state("none", "exp_avg").numel, 0);
}

}  // namespace
}  // namespace onepass::test
