// accumulate_test.cpp - accumulate() adds up the gradients of micro-batches, and the step uses their mean.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/gradients.hpp"
#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
const Options kAccumulates{.accumulates_gradients = true};

const std::vector<Shape> kShapes{{.numel = 70, .grad_misalignment = 3},
                                 {.numel = 0},
                                 {.numel = 1030, .value_misalignment = 1, .grad_misalignment = 1},
                                 {.numel = 3}};

class AccumulateRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, AccumulateRules, testing::ValuesIn(rule_options()), by_name);

TEST_P(AccumulateRules, OneMicroBatchGivesThePlainBits) {
  Model model(kShapes), twin(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), kAccumulates);
  Optimizer steady = GetParam().make(twin.parameters(), {});
  for (int step = 1; step <= 5; ++step) {
    model.draw_gradients(step, 6);
    optimizer.accumulate();
    model.draw_gradients(100, 200);  // must not be read any more
    optimizer.step();
  }
  for (int step = 1; step <= 5; ++step) {
    twin.draw_gradients(step, 6);
    steady.step();
  }
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(model.intact());
}

// The sum and the mean of four equal micro-batches are exact.
TEST_P(AccumulateRules, EqualMicroBatchesGiveThePlainBits) {
  Model model(kShapes), twin(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), kAccumulates);
  Optimizer steady = GetParam().make(twin.parameters(), {});
  for (int step = 1; step <= 3; ++step) {
    model.draw_finite_gradients(step);
    for (int batch = 0; batch < 4; ++batch) optimizer.accumulate();
    optimizer.step();
  }
  train_finite(twin, steady, 3);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

// Each addition rounds once, and so do the division and the product with its result.
TEST(Accumulate, MeanIsThatOfTheWholeBatchWithinItsRoundings) {
  for (const int batches : {2, 3, 7, 64}) {
    Model model({{.numel = 3000, .grad_misalignment = 1}});
    model.value(0).write(std::vector<float>(3000, 0.0f));
    Optimizer optimizer(kShowsGradients, model.parameters(), kAccumulates);
    std::vector<std::vector<float>> all(3000);
    for (int batch = 0; batch < batches; ++batch) {
      model.draw_finite_gradients(batch);
      const std::span<const float> gradient = model.grad(0).host();
      for (std::size_t i = 0; i < all.size(); ++i) all[i].push_back(gradient[i]);
      optimizer.accumulate();
    }
    optimizer.step();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const reference::Number wanted = reference::mean(all[i]);
      const double bound =
          0.5 * (batches + 2) * reference::kUlp * std::max(wanted.magnitude, double{FLT_MIN});
      ASSERT_LE(std::fabs(wanted.value + static_cast<double>(model.value(0).host()[i])), bound)
          << batches << " micro-batches, element " << i;
    }
  }
}

TEST(Accumulate, SumsAreTakenInFloat32InTheOrderOfTheCalls) {
  FlatModel model({{1.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};
  for (const float g : {0x1p24f, 1.0f, 1.0f, -0x1p24f}) {
    model.grads[0][0] = g;
    optimizer.accumulate();
  }
  optimizer.step();
  EXPECT_EQ(model.values[0][0], 0.0f) << "each 1 is lost beside 2^24";
}

TEST(Accumulate, StepWithoutACallBeforeItDoesNothing) {
  Model model(kShapes);
  Optimizer optimizer(AdamW{}, model.parameters(), kAccumulates);
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 1.0},
                                   .loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 2},
                                   .zero_grad = true});
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 0.0);
  model.draw_finite_gradients(1);
  optimizer.accumulate();
  optimizer.step();
  const Snapshot before = snapshot(model.parameters(), optimizer);
  const double norm = optimizer.grad_norm();
  EXPECT_GT(norm, 0.0);
  model.draw_finite_gradients(2);
  model.grad(0).host()[5] = kNaN;
  const std::vector<float> gradient = model.grad(0).read();
  const float found_inf = 1.0f;
  for (int i = 0; i < 3; ++i) optimizer.step();
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(equal_bits(gradient, model.grad(0).read()));
  EXPECT_EQ(optimizer.steps(), 1);
  EXPECT_EQ(optimizer.skipped_steps(), 0);
  EXPECT_EQ(optimizer.loss_scale(), 8.0f);
  EXPECT_EQ(optimizer.grad_norm(), norm);
  EXPECT_EQ(optimizer.state_dict().growth_tracker, 1);
  optimizer.set_gradient_handling({.found_inf = &found_inf});
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_steps(), 0);
}

/// Three tensors. Each call of accumulate() has gradients only for the tensors that it lists.
struct Partly {
  FlatModel model{{{3.0f}, {6.0f}, {9.0f}}, 0.0f};
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};

  void accumulate(std::initializer_list<int> present) {
    std::vector<Tensor> gradients(3);
    for (const int t : present)
      gradients[static_cast<std::size_t>(t)] = std::span(model.grads[static_cast<std::size_t>(t)]);
    optimizer.set_gradients(gradients);
    optimizer.accumulate();
  }
};

TEST(Accumulate, MeanDividesByAllCallsEvenIfATensorHadNoGradientInSome) {
  Partly partly;
  partly.accumulate({0});
  partly.accumulate({0, 1});
  partly.accumulate({0});
  partly.optimizer.step();
  EXPECT_EQ(partly.model.values[0][0], -3.0f);
  EXPECT_EQ(partly.model.values[1][0], -2.0f);
  EXPECT_EQ(partly.model.values[2][0], 0.0f);
  EXPECT_EQ(partly.optimizer.step_count("t1"), 1);
  EXPECT_EQ(partly.optimizer.step_count("t2"), 0);
}

// Such a sum still holds gradients of an earlier step. It must not enter the norm or the search for NaN.
TEST(Accumulate, OldSumsOfTensorsWithoutANewGradientAreIgnored) {
  Partly partly;
  partly.optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{}, .nonfinite = NonFinite::error});
  partly.model.grads[1][0] = kNaN;
  partly.accumulate({0, 1, 2});
  partly.optimizer.step();
  EXPECT_EQ(partly.optimizer.skipped_steps(), 1);
  EXPECT_THROW(partly.optimizer.check(), NonFiniteGradient);
  partly.accumulate({0});
  partly.optimizer.step();
  EXPECT_EQ(partly.optimizer.skipped_steps(), 1);
  partly.optimizer.check();
  EXPECT_EQ(partly.optimizer.grad_norm(), 3.0);
  EXPECT_EQ(partly.model.values[0][0], -3.0f);
  EXPECT_EQ(partly.model.values[1][0], 0.0f);
}

TEST(Accumulate, SkippedStepForgetsTheSum) {
  Partly partly;
  const float found_inf = 1.0f;
  partly.accumulate({0, 1, 2});
  partly.accumulate({0, 1});
  partly.optimizer.set_found_inf(&found_inf);
  partly.optimizer.step();
  EXPECT_EQ(partly.optimizer.skipped_steps(), 1);
  partly.optimizer.set_found_inf(nullptr);
  partly.optimizer.step();
  EXPECT_EQ(partly.optimizer.steps(), 0) << "nothing is left of the sum";
  partly.accumulate({0});
  partly.optimizer.step();
  EXPECT_EQ(partly.model.values[0][0], -3.0f);
  EXPECT_EQ(partly.model.values[1][0], 0.0f);
}

TEST(Accumulate, ZeroesTheGradientsThatItAddedIfAsked) {
  Model model(kShapes);
  Optimizer optimizer(Adam{}, model.parameters(), kAccumulates);
  optimizer.set_gradient_handling({.zero_grad = true});
  model.draw_gradients(1, 200);
  optimizer.accumulate();
  for (std::size_t t = 0; t < model.size(); ++t) {
    const std::vector<float> zeros(static_cast<std::size_t>(model.shape(t).numel), 0.0f);
    EXPECT_TRUE(equal_bits(zeros, model.grad(t).read())) << t;
  }
  model.draw_finite_gradients(3);
  const std::vector<float> gradient = model.grad(2).read();
  optimizer.step();
  EXPECT_TRUE(equal_bits(gradient, model.grad(2).read())) << "the step has nothing to zero";
  EXPECT_TRUE(model.intact());

  Model twin(kShapes);
  Optimizer steady(Adam{}, twin.parameters());
  train(twin, steady, 1);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  optimizer.zero_grad();
  EXPECT_TRUE(equal_bits(std::vector<float>(1030, 0.0f), model.grad(2).read()));
}

TEST(Accumulate, LeavesGradientsAloneUnlessAsked) {
  Model model(kShapes);
  Optimizer optimizer(Adam{}, model.parameters(), kAccumulates);
  const std::vector<float> gradient = model.grad(2).read();
  optimizer.accumulate();
  optimizer.step();
  EXPECT_TRUE(equal_bits(gradient, model.grad(2).read()));
}

TEST(Accumulate, ParametersAddedBetweenMicroBatchesTakePartFromThenOn) {
  FlatModel model({{2.0f}}, 0.0f), late({{4.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};
  optimizer.accumulate();
  std::vector<Parameter> joining = late.parameters();
  joining[0].name = "late";
  optimizer.add_parameters(joining);
  optimizer.accumulate();
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -2.0f);
  EXPECT_EQ(late.values[0][0], -2.0f) << "half of its one gradient";
}

TEST(Accumulate, ThreadsInstructionSetsAndChunksDoNotChangeABit) {
  const auto run = [](const Options& options) {
    Model model({{.numel = 2100001, .grad_misalignment = 1}, {.numel = 5}, {.numel = 9000}});
    Optimizer optimizer(AdamW{}, model.parameters(), options);
    for (int batch = 0; batch < 3; ++batch) {
      model.draw_finite_gradients(batch);
      optimizer.accumulate();
    }
    optimizer.step();
    return snapshot(model.parameters(), optimizer);
  };
  const Snapshot wanted = run({.threads = 1, .isa = Isa::baseline, .accumulates_gradients = true});
  EXPECT_TRUE(equal_bits(wanted, run({.threads = 3, .accumulates_gradients = true})));
  EXPECT_TRUE(equal_bits(wanted, run({.chunk_size = 192, .threads = 2, .accumulates_gradients = true})));
}

TEST(Accumulate, IsRefusedUnlessTheOptionsAskedForIt) {
  FlatModel model({{2.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  EXPECT_TRUE(refused([&] { optimizer.accumulate(); }, {"Optimizer", "accumulates_gradients"}));
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -2.0f);
}

}  // namespace
}  // namespace onepass::test
