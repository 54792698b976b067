// shared_loss_scaler_test.cpp - one loss scale for several optimizers, whichever of them steps first.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>
#include <utility>

#include "reference/gradients.hpp"
#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// An optimizer of one parameter that starts at 0, with a shared scaler.
struct Sharer {
  FlatModel model{{{0.0f}}, 0.0f};
  Optimizer optimizer;

  explicit Sharer(const SharedLossScaler& scaler, const Options& options = {})
      : optimizer{kShowsGradients, model.parameters(), options} {
    optimizer.set_gradient_handling({.shared_scaler = &scaler});
  }

  /// The gradient of a loss whose own gradient is `gradient`, multiplied by the present scale.
  void backward(float gradient) { model.grads[0][0] = gradient * *optimizer.loss_scale_pointer(); }
  /// Takes a step from 0 and returns the gradient that the rule saw.
  float step() {
    model.values[0][0] = 0.0f;
    optimizer.step();
    return -model.values[0][0];
  }
  void accumulate(float gradient, const MicroBatch& batch = {}) {
    backward(gradient);
    optimizer.accumulate(batch);
  }
};

const Options kAccumulates{.accumulates_gradients = true};

TEST(SharedLossScaler, NoOrderOfStepsDividesByTheNextScale) {
  for (const bool swapped : {false, true}) {
    SharedLossScaler scaler(Device::cpu(), {.init_scale = 16, .growth_interval = 1});
    Sharer one(scaler), other(scaler);
    for (float scale = 16.0f; scale < 1000.0f; scale *= 2.0f) {
      EXPECT_EQ(scaler.scale(), scale);
      one.backward(3.0f);
      other.backward(5.0f);
      float seen_by_one = swapped ? 0.0f : one.step();
      EXPECT_EQ(other.step(), 5.0f);
      if (swapped) seen_by_one = one.step();
      EXPECT_EQ(seen_by_one, 3.0f);
      EXPECT_EQ(scaler.scale(), scale) << "only update() changes it";
      scaler.update();
    }
  }
}

TEST(SharedLossScaler, OneOptimizersOverflowSkipsItsStepAloneAndBacksOffForAll) {
  for (const bool first : {false, true}) {
    SharedLossScaler scaler(Device::cpu(), {.init_scale = 16});
    Sharer bad(scaler), good(scaler);
    bad.backward(kInf);
    good.backward(5.0f);
    float seen_by_bad = first ? bad.step() : 0.0f;
    EXPECT_EQ(good.step(), 5.0f);
    if (!first) seen_by_bad = bad.step();
    EXPECT_EQ(seen_by_bad, 0.0f);
    EXPECT_EQ(scaler.scale(), 16.0f);
    scaler.update();
    EXPECT_EQ(scaler.scale(), 8.0f);
    EXPECT_EQ(bad.optimizer.skipped_steps(), 1);
    EXPECT_EQ(good.optimizer.skipped_steps(), 0);
    good.backward(5.0f);
    EXPECT_EQ(good.step(), 5.0f);
    scaler.update();
    EXPECT_EQ(scaler.scale(), 8.0f) << "the overflow belongs to the round before";
  }
}

TEST(SharedLossScaler, FollowsTheReferenceOverThousandsOfRounds) {
  const LossScaler settings{
      .init_scale = 12345.678, .growth_factor = 1.7, .backoff_factor = 0.31, .growth_interval = 3};
  SharedLossScaler scaler(Device::cpu(), settings);
  Sharer one(scaler), other(scaler);
  reference::GradScaler wanted{.scale = static_cast<float>(settings.init_scale),
                               .growth_factor = settings.growth_factor,
                               .backoff_factor = settings.backoff_factor,
                               .growth_interval = settings.growth_interval};
  for (std::uint64_t round = 0; round < 5000; ++round) {
    const bool bad = uniform(2 * round) < 0.05, also_bad = uniform(2 * round + 1) < 0.05;
    one.model.grads[0][0] = bad ? kInf : 0.0f;
    other.model.grads[0][0] = also_bad ? kInf : 0.0f;
    one.optimizer.step();
    other.optimizer.step();
    scaler.update();
    wanted.update(bad || also_bad);
    ASSERT_TRUE(same_bits(wanted.scale, scaler.scale())) << round;
    ASSERT_EQ(scaler.state().growth_tracker, wanted.good_steps) << round;
  }
  EXPECT_GT(one.optimizer.skipped_steps(), 200);
}

TEST(SharedLossScaler, RoundWithoutStepsChangesNothing) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16, .growth_interval = 2});
  Sharer one(scaler);
  const auto good_round = [&] {
    one.backward(1.0f);
    EXPECT_EQ(one.step(), 1.0f);
    scaler.update();
  };
  good_round();
  for (int i = 0; i < 5; ++i) scaler.update();
  EXPECT_EQ(scaler.scale(), 16.0f);
  good_round();
  EXPECT_EQ(scaler.scale(), 32.0f);
}

TEST(SharedLossScaler, ServesOneOptimizerAsItsOwnScalerDoes) {
  const LossScaler settings{.init_scale = 64, .growth_interval = 2};
  Model model({{.numel = 70}, {.numel = 300, .grad_misalignment = 1}});
  Model twin({{.numel = 70}, {.numel = 300, .grad_misalignment = 1}});
  SharedLossScaler scaler(Device::cpu(), settings);
  Optimizer shares(AdamW{}, model.parameters()), owns(AdamW{}, twin.parameters());
  shares.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .shared_scaler = &scaler});
  owns.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .loss_scaler = settings});
  for (int step = 0; step < 12; ++step) {
    model.draw_finite_gradients(step);
    twin.draw_finite_gradients(step);
    if (step % 5 == 3) model.grad(1).host()[7] = twin.grad(1).host()[7] = kInf;
    shares.step();
    scaler.update();
    owns.step();
    ASSERT_EQ(shares.loss_scale(), owns.loss_scale()) << step;
  }
  EXPECT_EQ(shares.grad_norm(), owns.grad_norm());
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), owns), snapshot(model.parameters(), shares)));
}

// One optimizer steps every round, the other every third: its window has micro-batches of three scales.
TEST(SharedLossScaler, WindowOverSeveralRoundsDividesEachMicroBatchByItsOwnScale) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16, .growth_factor = 4, .growth_interval = 1});
  Sharer often(scaler), seldom(scaler, kAccumulates);
  for (const bool bad_round : {false, true}) {
    float scale = 0.0f;
    for (const float gradient : {1.0f, 4.0f, 7.0f}) {
      EXPECT_NE(scaler.scale(), scale) << "the scale has changed since the micro-batch before";
      scale = scaler.scale();
      seldom.accumulate(gradient, {.weight = 3});
      often.backward(bad_round ? kInf : 2.0f);
      EXPECT_EQ(often.step(), bad_round ? 0.0f : 2.0f);
      if (gradient == 7.0f) {
        EXPECT_EQ(seldom.step(), 4.0f);
      }
      scaler.update();
    }
  }
}

TEST(SharedLossScaler, DroppedWindowLeavesNoScale) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16, .growth_interval = 1});
  Sharer often(scaler), seldom(scaler, kAccumulates);
  seldom.accumulate(9.0f);
  seldom.optimizer.drop_accumulated();
  often.backward(1.0f);
  EXPECT_EQ(often.step(), 1.0f);
  scaler.update();
  seldom.accumulate(9.0f);
  EXPECT_EQ(seldom.step(), 9.0f);
}

TEST(SharedLossScaler, HearsOfDroppedMicroBatchesAndOfFoundInf) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16});
  Sharer one(scaler, kAccumulates);
  one.accumulate(kInf, {.drop_nonfinite = true});
  one.accumulate(3.0f, {.drop_nonfinite = true});
  EXPECT_EQ(one.step(), 3.0f);
  scaler.update();
  EXPECT_EQ(scaler.scale(), 8.0f);
  one.accumulate(kInf, {.drop_nonfinite = true});
  one.step();
  scaler.update();
  EXPECT_EQ(scaler.scale(), 4.0f) << "all of the window was dropped";
  one.step();
  scaler.update();
  EXPECT_EQ(scaler.state(), (SharedLossScaler::State{.scale = 4.0f})) << "a step without gradients is none";
  const float found_inf = 1.0f;
  one.optimizer.set_found_inf(&found_inf);
  one.accumulate(3.0f);
  EXPECT_EQ(one.step(), 0.0f);
  scaler.update();
  EXPECT_EQ(scaler.scale(), 2.0f);
}

TEST(SharedLossScaler, IsTheScaleOfItsOptimizersWhileAttached) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16});
  Sharer one(scaler);
  EXPECT_EQ(one.optimizer.loss_scale(), 16.0f);
  EXPECT_EQ(one.optimizer.loss_scale_pointer(), scaler.scale_pointer());
  EXPECT_EQ(*scaler.scale_pointer(), 16.0f);
  one.optimizer.set_gradient_handling({});
  EXPECT_EQ(one.optimizer.loss_scale(), 1.0f);
  one.model.grads[0][0] = 3.0f;
  EXPECT_EQ(one.step(), 3.0f);
  scaler.update();
  EXPECT_EQ(scaler.state().growth_tracker, 0) << "an optimizer that is detached has no round";
}

TEST(SharedLossScaler, ContinuesFromASavedState) {
  const LossScaler settings{.init_scale = 16, .growth_interval = 3};
  SharedLossScaler scaler(Device::cpu(), settings), resumed(Device::cpu(), settings);
  Sharer one(scaler), again(resumed);
  for (int round = 0; round < 2; ++round) {
    one.step();
    scaler.update();
  }
  EXPECT_EQ(scaler.state(), (SharedLossScaler::State{.scale = 16.0f, .growth_tracker = 2}));
  resumed.load_state(scaler.state());
  again.step();
  resumed.update();
  EXPECT_EQ(resumed.scale(), 32.0f);
  for (const float bad : {0.0f, -1.0f, kInf, std::nanf("")}) {
    EXPECT_TRUE(refused([&] { resumed.load_state({.scale = bad}); }, {"LossScaler.init_scale"})) << bad;
  }
  EXPECT_TRUE(refused([&] { resumed.load_state({.scale = 1.0f, .growth_tracker = -1}); },
                      {"growth_tracker must be at least 0, but is -1"}));
  EXPECT_EQ(resumed.scale(), 32.0f);
}

// The scale has changed since the micro-batches that the dict holds.
TEST(SharedLossScaler, StateDictKeepsTheScaleOfItsWindow) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 16, .growth_interval = 1});
  Sharer often(scaler), seldom(scaler, kAccumulates), resumed(scaler, kAccumulates);
  seldom.accumulate(1.0f);
  often.step();
  scaler.update();
  StateDict dict = seldom.optimizer.state_dict();
  EXPECT_EQ(dict.window_scale, 16.0f);
  resumed.optimizer.load_state_dict(dict);
  resumed.accumulate(5.0f);
  EXPECT_EQ(resumed.step(), 3.0f);
  for (const float bad : {-1.0f, kInf, std::nanf("")}) {
    dict.window_scale = bad;
    EXPECT_TRUE(refused([&] { resumed.optimizer.load_state_dict(dict); }, {"gradients of the loss scale"}))
        << bad;
  }
}

TEST(SharedLossScaler, RefusesBadSettingsAndOtherScalesBesideIt) {
  EXPECT_TRUE(refused([] { SharedLossScaler(Device::cpu(), {.init_scale = 0}); }, {"LossScaler.init_scale"}));
  EXPECT_TRUE(refused([] { SharedLossScaler(Device::cpu(), {.growth_interval = 0}); },
                      {"LossScaler.growth_interval"}));
  SharedLossScaler scaler(Device::cpu());
  Sharer one(scaler);
  const float scale = 2.0f;
  const auto refuses = [&](const GradientHandling& handling, const char* word) {
    return refused([&] { one.optimizer.set_gradient_handling(handling); }, {word, "shared_scaler"});
  };
  EXPECT_TRUE(refuses({.loss_scale = 2.0, .shared_scaler = &scaler}, "loss_scale and"));
  EXPECT_TRUE(refuses({.loss_scaler = LossScaler{}, .shared_scaler = &scaler}, "loss_scaler and"));
  EXPECT_TRUE(refuses({.shared_scaler = &scaler, .grad_scale = &scale}, "grad_scale and"));
  SharedLossScaler moved(Device::cpu());
  const SharedLossScaler taken = std::move(moved);
  EXPECT_TRUE(
      refuses({.shared_scaler = &moved}, "moved from"));  // NOLINT: the test is about the use after move
  EXPECT_EQ(taken.scale(), 65536.0f);
}

TEST(SharedLossScaler, OptimizersMayStepInSeveralThreadsAtOnce) {
  SharedLossScaler scaler(Device::cpu(), {.init_scale = 1024});
  Sharer one(scaler, {.threads = 1}), other(scaler, {.threads = 1});
  for (int round = 0; round < 8; ++round) {
    one.backward(kInf);
    other.backward(kInf);
    std::thread second([&] { other.optimizer.step(); });
    one.optimizer.step();
    second.join();
    scaler.update();
  }
  EXPECT_EQ(scaler.scale(), 4.0f);
}

}  // namespace
}  // namespace onepass::test
