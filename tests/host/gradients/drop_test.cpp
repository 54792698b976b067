// drop_test.cpp - micro-batches that are dropped: one with a gradient that is not finite, or all of a window.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
const Options kAccumulates{.accumulates_gradients = true};
constexpr MicroBatch kDrop{.drop_nonfinite = true};

/// Two parameters, which start at 0: a step by their mean gradients leaves the negated means.
struct Two {
  FlatModel model{{{0.0f}, {0.0f, 0.0f}}, 0.0f};
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};

  /// Adds a micro-batch with the gradients `first` and (0, `second`).
  void add(float first, float second, const MicroBatch& batch = kDrop) {
    model.grads[0][0] = first;
    model.grads[1] = {0.0f, second};
    optimizer.accumulate(batch);
  }
  std::vector<float> means() {
    model.values = {{0.0f}, {0.0f, 0.0f}};
    optimizer.step();
    return {-model.values[0][0], -model.values[1][1]};
  }
};

using Floats = std::vector<float>;

TEST(DropNonfinite, StepTakesTheMeanOfTheOtherMicroBatches) {
  for (const float bad : {kNaN, kInf, -kInf}) {
    Two two;
    two.add(bad, 1.0f);
    two.add(2.0f, 3.0f);
    two.add(4.0f, bad);
    two.add(4.0f, 5.0f);
    EXPECT_EQ(two.optimizer.dropped_micro_batches(), 2);
    EXPECT_EQ(two.means(), (Floats{3.0f, 4.0f}));
    EXPECT_EQ(two.optimizer.steps(), 1);
    EXPECT_EQ(two.optimizer.skipped_steps(), 0);
    two.add(7.0f, 8.0f);
    EXPECT_EQ(two.means(), (Floats{7.0f, 8.0f})) << "nothing is left of the dropped ones";
    EXPECT_EQ(two.optimizer.dropped_micro_batches(), 2) << "over all steps";
  }
}

TEST(DropNonfinite, WeightsOfDroppedMicroBatchesDoNotCount) {
  Two two;
  two.add(1.0f, 1.0f, {.weight = 3, .drop_nonfinite = true});
  two.add(kNaN, 1.0f, {.weight = 100, .drop_nonfinite = true});
  two.add(5.0f, 5.0f, {.weight = 1, .drop_nonfinite = true});
  two.add(kNaN, 1.0f, {.weight = 0, .drop_nonfinite = true});
  EXPECT_EQ(two.means(), (Floats{2.0f, 2.0f}));
  EXPECT_EQ(two.optimizer.dropped_micro_batches(), 1) << "one of weight 0 is none";
}

TEST(DropNonfinite, GradientsWithHugeSquaresAreKept) {
  Two two;
  two.add(3e38f, -3e38f);
  EXPECT_EQ(two.optimizer.dropped_micro_batches(), 0);
  EXPECT_EQ(two.means(), (Floats{3e38f, -3e38f}));
}

TEST(DropNonfinite, IsOffUnlessAsked) {
  Two two;
  two.add(kInf, 1.0f, {});
  EXPECT_EQ(two.means(), (Floats{kInf, 1.0f}));
  EXPECT_EQ(two.optimizer.dropped_micro_batches(), 0);
}

TEST(DropNonfinite, MicroBatchWithoutDroppingAfterADroppedOneIsAdded) {
  Two two;
  two.add(kNaN, 1.0f);
  two.add(2.0f, 3.0f, {});
  EXPECT_EQ(two.means(), (Floats{2.0f, 3.0f}));
}

TEST(DropNonfinite, TestLeavesTheNormOfTheStepAlone) {
  Two two;
  two.optimizer.clip_grad_norm({.max_norm = 10.0, .formula = ClipFormula::exact});
  two.add(300.0f, 400.0f);
  two.add(kInf, 1.0f);
  EXPECT_EQ(two.means(), (Floats{6.0f, 8.0f}));
  EXPECT_EQ(two.optimizer.grad_norm(), 500.0);
}

TEST(DropNonfinite, TensorsWithoutAGradientAreNotTested) {
  Two two;
  two.add(kNaN, 1.0f);  // leaves a NaN in the memory of the first gradient
  two.optimizer.set_gradients(std::vector<Tensor>{Tensor{}, std::span(two.model.grads[1])});
  two.optimizer.accumulate(kDrop);
  EXPECT_EQ(two.means(), (Floats{0.0f, 1.0f}));
  EXPECT_EQ(two.optimizer.step_count("t0"), 0);
}

TEST(DropNonfinite, FindsEveryElementOfEveryType) {
  constexpr std::uint16_t kOne = 0x3f80, kBad = 0x7f80;  // of bfloat16
  std::vector<std::uint16_t> value(5000, kOne), grad(5000, kOne);
  const auto sixteen = [](std::vector<std::uint16_t>& numbers) {
    return Tensor{numbers.data(), DType::bfloat16, std::ssize(numbers), Device::cpu()};
  };
  Optimizer optimizer{kShowsGradients,
                      std::vector<Parameter>{{.name = "w", .value = sixteen(value), .grad = sixteen(grad)}},
                      kAccumulates};
  std::int64_t dropped = 0;
  for (const std::size_t place : {0u, 1u, 127u, 1023u, 1024u, 4095u, 4096u, 4999u}) {
    grad[place] = kBad;
    optimizer.accumulate(kDrop);
    grad[place] = kOne;
    optimizer.accumulate(kDrop);
    EXPECT_EQ(optimizer.dropped_micro_batches(), ++dropped) << place;
  }
  optimizer.step();
  EXPECT_EQ(value, std::vector<std::uint16_t>(5000, 0)) << "1 - 1 = 0";
}

TEST(DropNonfinite, DroppedGradientsAreStillZeroed) {
  Two two;
  two.optimizer.set_gradient_handling({.zero_grad = true});
  two.add(kNaN, 1.0f);
  EXPECT_EQ(two.model.grads[0], Floats{0.0f});
  EXPECT_EQ(two.model.grads[1], (Floats{0.0f, 0.0f}));
}

TEST(DropNonfinite, LossScalerBacksOffOnceAtTheStep) {
  Two two;
  two.optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 16, .growth_interval = 1}});
  two.add(kInf, 1.0f);
  two.add(kInf, 1.0f);
  two.add(32.0f, 16.0f);
  EXPECT_EQ(two.optimizer.loss_scale(), 16.0f) << "one window has one scale";
  EXPECT_EQ(two.means(), (Floats{2.0f, 1.0f}));
  EXPECT_EQ(two.optimizer.loss_scale(), 8.0f);
  two.add(8.0f, 8.0f);
  EXPECT_EQ(two.means(), (Floats{1.0f, 1.0f}));
  EXPECT_EQ(two.optimizer.loss_scale(), 16.0f);
}

// Otherwise a scale that is too large for every micro-batch would stay for ever.
TEST(DropNonfinite, LossScalerBacksOffIfAllAreDropped) {
  Two two;
  two.optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 16}});
  two.add(kInf, 1.0f);
  two.optimizer.step();
  two.optimizer.step();
  EXPECT_EQ(two.optimizer.loss_scale(), 8.0f);
  EXPECT_EQ(two.optimizer.steps(), 0);
  EXPECT_EQ(two.optimizer.skipped_steps(), 0);
}

TEST(DropNonfinite, StateDictKeepsWhatWasDropped) {
  Two first, second;
  const GradientHandling handling{.loss_scaler = LossScaler{.init_scale = 16}};
  first.optimizer.set_gradient_handling(handling);
  second.optimizer.set_gradient_handling(handling);
  first.add(kInf, 1.0f);
  second.optimizer.load_state_dict(first.optimizer.state_dict());
  EXPECT_EQ(second.optimizer.dropped_micro_batches(), 1);
  second.optimizer.step();
  EXPECT_EQ(second.optimizer.loss_scale(), 8.0f);
  StateDict dict = first.optimizer.state_dict();
  dict.dropped_micro_batches = -1;
  EXPECT_TRUE(refused([&] { second.optimizer.load_state_dict(dict); }, {"-1 dropped micro-batches"}));
  dict = first.optimizer.state_dict();
  dict.dropped_since_step = -2;
  EXPECT_TRUE(refused([&] { second.optimizer.load_state_dict(dict); }, {"-2 micro-batches dropped since"}));
}

TEST(DropNonfinite, ThreadsAndInstructionSetsDropTheSame) {
  const auto run = [](const Options& options) {
    Model model({{.numel = 100001, .grad_misalignment = 1}, {.numel = 5}, {.numel = 9000}});
    Optimizer optimizer(AdamW{}, model.parameters(), options);
    for (int batch = 0; batch < 4; ++batch) {
      model.draw_finite_gradients(batch);
      if (batch % 2 == 1) model.grad(0).host()[100000] = kNaN;
      optimizer.accumulate({.weight = batch + 0.5, .drop_nonfinite = true});
    }
    optimizer.step();
    EXPECT_EQ(optimizer.dropped_micro_batches(), 2);
    return snapshot(model.parameters(), optimizer);
  };
  const Snapshot wanted = run({.threads = 1, .isa = Isa::baseline, .accumulates_gradients = true});
  EXPECT_TRUE(equal_bits(wanted, run({.threads = 3, .accumulates_gradients = true})));
}

TEST(DropAccumulated, DropsTheWholeWindow) {
  Two two;
  two.add(kNaN, 1.0f, {});
  two.add(3.0f, 4.0f, {.weight = 5});
  two.optimizer.drop_accumulated();
  EXPECT_EQ(two.means(), (Floats{0.0f, 0.0f}));
  EXPECT_EQ(two.optimizer.steps(), 0);
  two.add(2.0f, 6.0f, {});
  two.add(4.0f, 8.0f, {});
  EXPECT_EQ(two.means(), (Floats{3.0f, 7.0f})) << "sum and weights begin anew";
  EXPECT_EQ(two.optimizer.dropped_micro_batches(), 0);
}

TEST(DropAccumulated, LeavesOutParametersThatOnlyTheDroppedWindowHad) {
  Two two;
  two.add(1.0f, 1.0f);
  two.optimizer.drop_accumulated();
  two.optimizer.set_gradients(std::vector<Tensor>{std::span(two.model.grads[0]), Tensor{}});
  two.optimizer.accumulate();
  two.optimizer.step();
  EXPECT_EQ(two.optimizer.step_count("t0"), 1);
  EXPECT_EQ(two.optimizer.step_count("t1"), 0);
  two.optimizer.drop_accumulated();
  EXPECT_EQ(two.optimizer.step_count("t0"), 1) << "what a step has used cannot be dropped";
}

TEST(DropAccumulated, IsRefusedWithoutAccumulation) {
  FlatModel model({{2.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  EXPECT_TRUE(
      refused([&] { optimizer.drop_accumulated(); }, {"drop_accumulated()", "accumulates_gradients"}));
}

}  // namespace
}  // namespace onepass::test
