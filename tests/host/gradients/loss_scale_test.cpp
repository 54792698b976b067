// loss_scale_test.cpp - a step divides the loss scale out of its gradients, whether the scale is fixed, read
// from the caller's pointer, or adjusted by the optimizer's LossScaler.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/gradients.hpp"
#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Changes the gradients to those of a loss multiplied by `scale`. Inf and NaN stay.
void scale_gradients(Model& model, float scale) {
  for (std::size_t t = 0; t < model.size(); ++t) {
    for (float& g : model.grad(t).host()) {
      if (std::isfinite(g)) g = std::fabs(g) < 1e-30f ? 0.0f : g * scale;  // exact both ways
    }
  }
}

class LossScaleRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, LossScaleRules, testing::ValuesIn(rule_options()), by_name);

const std::vector<Shape> kShapes{{.numel = 70}, {.numel = 300, .grad_misalignment = 1}};

TEST_P(LossScaleRules, PowersOfTwoGiveTheUnscaledBits) {
  for (const float scale : {1024.0f, 0.25f, 0x1p-20f}) {
    Model model(kShapes), twin(kShapes);
    Optimizer optimizer = GetParam().make(model.parameters(), {});
    Optimizer steady = GetParam().make(twin.parameters(), {});
    optimizer.set_gradient_handling({.loss_scale = scale});
    EXPECT_EQ(optimizer.loss_scale(), scale);
    for (int step = 1; step <= 4; ++step) {
      model.draw_gradients(step, 200);
      twin.draw_gradients(step, 200);
      scale_gradients(model, scale);
      scale_gradients(twin, 1.0f);
      optimizer.step();
      steady.step();
    }
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  }
}

TEST(LossScale, IsOneAtFirst) {
  FlatModel model({{1.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  EXPECT_EQ(optimizer.loss_scale(), 1.0f);
  EXPECT_EQ(*optimizer.loss_scale_pointer(), 1.0f);
}

TEST(LossScale, CallersPointersAreReadWhenTheStepRuns) {
  FlatModel model({{6.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  float grad_scale = 2.0f, found_inf = 0.0f;
  optimizer.set_gradient_handling({.loss_scale = 100.0, .found_inf = &found_inf, .grad_scale = &grad_scale});
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -3.0f) << "the pointer replaces loss_scale";
  grad_scale = 3.0f;
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -5.0f);
  found_inf = 1.0f;
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -5.0f);
  EXPECT_EQ(optimizer.skipped_steps(), 1);
}

/// An optimizer for one parameter. A bad step gets an infinite gradient.
class Scaled {
 public:
  explicit Scaled(const LossScaler& scaler) : optimizer_(kShowsGradients, model_.parameters()) {
    optimizer_.set_gradient_handling({.loss_scaler = scaler});
  }
  void step(bool bad) {
    model_.grads[0][0] = bad ? kInf : 0.0f;
    optimizer_.step();
  }
  Optimizer& optimizer() { return optimizer_; }
  FlatModel& model() { return model_; }

 private:
  FlatModel model_{{{0.0f}}, 0.0f};
  Optimizer optimizer_;
};

void expect_as_reference(const LossScaler& scaler, double share_of_bad_steps, int steps) {
  Scaled scaled(scaler);
  reference::GradScaler wanted{.scale = static_cast<float>(scaler.init_scale),
                               .growth_factor = scaler.growth_factor,
                               .backoff_factor = scaler.backoff_factor,
                               .growth_interval = scaler.growth_interval};
  std::int64_t skipped = 0;
  for (int step = 0; step < steps; ++step) {
    const bool bad = uniform(static_cast<std::uint64_t>(step) + 99) < share_of_bad_steps;
    scaled.step(bad);
    wanted.update(bad);
    skipped += bad ? 1 : 0;
    ASSERT_TRUE(same_bits(wanted.scale, scaled.optimizer().loss_scale()))
        << "step " << step << ": " << scaled.optimizer().loss_scale() << ", and not " << wanted.scale;
    ASSERT_TRUE(std::isfinite(wanted.scale));
  }
  EXPECT_EQ(scaled.optimizer().skipped_steps(), skipped);
  EXPECT_EQ(scaled.optimizer().steps(), steps - skipped);
  EXPECT_EQ(scaled.optimizer().state_dict().growth_tracker, wanted.good_steps);
}

TEST(LossScaler, FollowsTheReferenceOverThousandsOfSteps) {
  expect_as_reference({}, 0.001, 7000);
  expect_as_reference({.growth_interval = 3}, 0.2, 5000);
  expect_as_reference(
      {.init_scale = 12345.678, .growth_factor = 1.7, .backoff_factor = 0.31, .growth_interval = 2}, 0.17,
      3000);
  expect_as_reference({.init_scale = 1.0, .growth_interval = 1}, 0.5, 3000);
}

// The scale grows until the next growth would make it infinite, and stays there.
TEST(LossScaler, DoesNotGrowBeyondFloat32) {
  expect_as_reference({.init_scale = 0x1p120, .growth_interval = 5}, 0.0, 200);
  expect_as_reference({.init_scale = 3e38, .growth_factor = 1.05, .growth_interval = 1}, 0.0, 50);
  Scaled scaled({.init_scale = 0x1p126, .growth_interval = 1});
  for (int step = 0; step < 3; ++step) scaled.step(false);
  EXPECT_EQ(scaled.optimizer().loss_scale(), 0x1p127f);
}

// PyTorch's scale would be 0 after 166 bad steps, and every later step would be skipped.
TEST(LossScaler, StopsAtTheSmallestNormalNumberFromWhichGoodStepsGoOn) {
  expect_as_reference({.init_scale = 0x1p-90, .growth_interval = 2}, 0.3, 200);
  Scaled scaled({});
  for (int step = 0; step < 200; ++step) scaled.step(true);
  EXPECT_EQ(scaled.optimizer().loss_scale(), 0x1p-126f);
  EXPECT_EQ(scaled.optimizer().skipped_steps(), 200);
  scaled.model().grads[0][0] = 3.0f * 0x1p-126f;
  scaled.optimizer().step();
  EXPECT_EQ(scaled.model().values[0][0], -3.0f);
  EXPECT_EQ(scaled.optimizer().steps(), 1);

  Scaled loaded({});
  loaded.optimizer().load_state_dict(scaled.optimizer().state_dict());
  EXPECT_EQ(loaded.optimizer().loss_scale(), 0x1p-126f);
}

TEST(LossScaler, StaysBetweenMinScaleAndMaxScale) {
  Scaled scaled({.init_scale = 12, .growth_interval = 1, .min_scale = 5, .max_scale = 30});
  const auto after = [&](bool bad) {
    scaled.step(bad);
    return scaled.optimizer().loss_scale();
  };
  EXPECT_EQ(after(true), 6.0f);
  EXPECT_EQ(after(true), 5.0f);
  EXPECT_EQ(after(true), 5.0f);
  EXPECT_EQ(after(false), 10.0f);
  EXPECT_EQ(after(false), 20.0f);
  EXPECT_EQ(after(false), 20.0f) << "40 would exceed max_scale";
}

TEST(LossScaler, ComesIntoBoundsThatHaveChanged) {
  Scaled scaled({.init_scale = 64});
  Optimizer& optimizer = scaled.optimizer();
  optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 64, .max_scale = 100}});
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 64.0f);
  StateDict high = optimizer.state_dict();
  high.loss_scale = 1000.0f;
  optimizer.load_state_dict(high);
  EXPECT_EQ(optimizer.loss_scale(), 1000.0f);
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 100.0f);
  high.loss_scale = 0.5f;
  optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 64, .min_scale = 2}});
  optimizer.load_state_dict(high);
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 2.0f);
}

TEST(LossScaler, StepsThatAreNotSkippedGiveTheUnscaledBits) {
  Model model(kShapes), twin(kShapes);
  Optimizer optimizer(AdamW{}, model.parameters());
  Optimizer steady(AdamW{}, twin.parameters());
  optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 256, .growth_interval = 3}});
  const float* const scale = optimizer.loss_scale_pointer();
  for (int step = 1; step <= 40; ++step) {
    model.draw_finite_gradients(step);
    twin.draw_finite_gradients(step);
    scale_gradients(model, *scale);
    scale_gradients(twin, 1.0f);
    if (step % 7 == 0) model.grad(1).host()[299] = kInf;
    optimizer.step();
    if (step % 7 != 0) steady.step();
    ASSERT_EQ(*scale, optimizer.loss_scale());
  }
  EXPECT_EQ(optimizer.skipped_steps(), 5);
  EXPECT_NE(*scale, 256.0f);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

TEST(LossScaler, RestartsOnlyWhenItsInitialScaleChanges) {
  Scaled scaled({.init_scale = 8, .growth_interval = 2});
  Optimizer& optimizer = scaled.optimizer();
  scaled.step(false);
  scaled.step(false);
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 16.0f);
  optimizer.clip_grad_value(3.0);
  optimizer.set_gradient_handling(optimizer.gradient_handling());
  EXPECT_EQ(optimizer.loss_scale(), 16.0f);
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 32.0f) << "the steps before were forgotten";
  optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 8,
                                                             .growth_factor = 4,
                                                             .backoff_factor = 0.25,
                                                             .growth_interval = 1,
                                                             .min_scale = 1,
                                                             .max_scale = 1024}});
  EXPECT_EQ(optimizer.loss_scale(), 32.0f);
  scaled.step(true);
  EXPECT_EQ(optimizer.loss_scale(), 8.0f);
  scaled.step(false);
  EXPECT_EQ(optimizer.loss_scale(), 32.0f);
  optimizer.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 4, .growth_interval = 2}});
  EXPECT_EQ(optimizer.loss_scale(), 4.0f);
  optimizer.set_gradient_handling({});
  EXPECT_EQ(optimizer.loss_scale(), 1.0f);
}

TEST(LossScaler, BacksOffWhenFoundInfIsSet) {
  Scaled scaled({.init_scale = 8});
  const float found_inf = 1.0f;
  scaled.optimizer().set_found_inf(&found_inf);
  scaled.step(false);
  EXPECT_EQ(scaled.optimizer().loss_scale(), 4.0f);
  EXPECT_EQ(scaled.optimizer().skipped_steps(), 1);
}

// A dict from a scaler with a longer interval may count more steps than this scaler waits for.
TEST(LossScaler, GrowsWhenTheLoadedCountExceedsItsGrowthInterval) {
  Scaled patient({.init_scale = 8, .growth_interval = 10}), hasty({.init_scale = 8, .growth_interval = 3});
  for (int step = 0; step < 7; ++step) patient.step(false);
  hasty.optimizer().load_state_dict(patient.optimizer().state_dict());
  hasty.step(false);
  EXPECT_EQ(hasty.optimizer().loss_scale(), 16.0f);
}

TEST(LossScaler, AddingParametersKeepsTheScaleAndItsCount) {
  Scaled scaled({.init_scale = 8, .growth_interval = 2});
  scaled.step(true);
  scaled.step(false);
  FlatModel late({{4.0f}}, 0.0f);
  std::vector<Parameter> joining = late.parameters();
  joining[0].name = "late";
  scaled.optimizer().add_parameters(joining);
  EXPECT_EQ(scaled.optimizer().loss_scale(), 4.0f);
  EXPECT_EQ(*scaled.optimizer().loss_scale_pointer(), 4.0f);
  scaled.step(false);
  EXPECT_EQ(scaled.optimizer().loss_scale(), 8.0f);
  EXPECT_EQ(late.values[0][0], -1.0f);
  EXPECT_EQ(scaled.optimizer().skipped_steps(), 1);
}

}  // namespace
}  // namespace onepass::test
