// bad_gradient_handling_test.cpp - a GradientHandling with a field out of its range is refused and changes
// nothing.
#include <gtest/gtest.h>

#include <limits>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The settings in force while bad ones are refused: everything is on, and the scaler is in the middle of its
/// interval.
const GradientHandling kGood{.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = NormType::l1},
                             .clip_value = 0.25,
                             .nonfinite = NonFinite::error,
                             .loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 4},
                             .zero_grad = true};

class BadGradientHandling : public testing::Test {
 protected:
  void SetUp() override {
    optimizer_.set_gradient_handling(kGood);
    step_both(3);
  }

  void expect_refused(const GradientHandling& bad, std::initializer_list<std::string> words) {
    EXPECT_TRUE(refused([&] { optimizer_.set_gradient_handling(bad); }, words));
    EXPECT_EQ(optimizer_.gradient_handling(), kGood);
  }

  /// Expects the optimizer to continue as if no bad settings had been passed.
  void TearDown() override {
    step_both(2);
    EXPECT_EQ(optimizer_.loss_scale(), 16.0f);
    EXPECT_EQ(model_.values, twin_.values);
    EXPECT_EQ(model_.grads, twin_.grads);
    EXPECT_EQ(optimizer_.steps(), 5);
  }

  void step_both(int steps) {
    if (steady_.steps() == 0) steady_.set_gradient_handling(kGood);
    for (int step = 0; step < steps; ++step) {
      model_.grads[0] = {3.0f, 100.0f};
      twin_.grads[0] = {3.0f, 100.0f};
      optimizer_.step();
      steady_.step();
    }
  }

  FlatModel model_{{{0.0f, 0.0f}}, 1.0f}, twin_{{{0.0f, 0.0f}}, 1.0f};
  Optimizer optimizer_{kShowsGradients, model_.parameters()};
  Optimizer steady_{kShowsGradients, twin_.parameters()};
};

TEST_F(BadGradientHandling, NegativeOrNaNMaxNormIsRefused) {
  expect_refused({.clip_norm = ClipGradNorm{.max_norm = -1.5}},
                 {"Optimizer", "ClipGradNorm.max_norm", "-1.5"});
  expect_refused({.clip_norm = ClipGradNorm{.max_norm = kNaN}}, {"ClipGradNorm.max_norm", "nan"});
  expect_refused({.clip_norm = ClipGradNorm{.max_norm = -kInf}}, {"ClipGradNorm.max_norm", "-inf"});
}

TEST_F(BadGradientHandling, ClippingByGroupAndByParameterTogetherIsRefused) {
  expect_refused({.clip_norm = ClipGradNorm{.per_group = true, .per_parameter = true}},
                 {"ClipGradNorm.per_group and ClipGradNorm.per_parameter were both set"});
}

TEST_F(BadGradientHandling, NegativeOrNaNClipValueIsRefused) {
  expect_refused({.clip_value = -0.5}, {"Optimizer", "clip_value", "-0.5"});
  expect_refused({.clip_value = kNaN}, {"clip_value", "nan"});
}

TEST_F(BadGradientHandling, LossScaleThatIsNoPositiveFloat32IsRefused) {
  for (const double bad : {0.0, -2.0, kInf, kNaN, 1e39, 1e-46}) {
    expect_refused({.loss_scale = bad}, {"Optimizer", "loss_scale", "above 0"});
  }
  expect_refused({.loss_scale = -2.0}, {"-2"});
  expect_refused({.loss_scale = 1e39}, {"1e+39"});
  for (const double bad : {2e-39, 1e-40, 1e-45}) {
    expect_refused({.loss_scale = bad}, {"Optimizer", "loss_scale", "inverse"});
    expect_refused({.loss_scaler = LossScaler{.init_scale = bad}}, {"LossScaler.init_scale", "inverse"});
  }
}

TEST_F(BadGradientHandling, InitScaleThatIsNoPositiveFloat32IsRefused) {
  for (const double bad : {0.0, -2.0, kInf, kNaN, 1e39, 1e-46}) {
    expect_refused({.loss_scaler = LossScaler{.init_scale = bad}},
                   {"Optimizer", "LossScaler.init_scale", "above 0"});
  }
  expect_refused({.loss_scaler = LossScaler{.init_scale = -2.0}}, {"-2"});
}

TEST_F(BadGradientHandling, BoundsOfTheScaleThatAreNoLossScalesOrExcludeInitScaleAreRefused) {
  for (const double bad : {0.0, -2.0, kInf, kNaN, 1e39, 2e-39}) {
    expect_refused({.loss_scaler = LossScaler{.min_scale = bad}}, {"LossScaler.min_scale", "above 0"});
    expect_refused({.loss_scaler = LossScaler{.max_scale = bad}}, {"LossScaler.max_scale", "above 0"});
  }
  expect_refused({.loss_scaler = LossScaler{.init_scale = 8, .min_scale = 9}},
                 {"LossScaler.init_scale", "[9, ", "but is 8"});
  expect_refused({.loss_scaler = LossScaler{.init_scale = 8, .max_scale = 7}},
                 {"LossScaler.init_scale", ", 7]", "but is 8"});
}

TEST_F(BadGradientHandling, FactorsThatAreOneOrZeroInFloat32AreRefused) {
  for (const double bad : {1.0 + 0x1p-52, 1e39}) {
    expect_refused({.loss_scaler = LossScaler{.growth_factor = bad}}, {"LossScaler.growth_factor"});
  }
  for (const double bad : {1.0 - 0x1p-53, 1e-46}) {
    expect_refused({.loss_scaler = LossScaler{.backoff_factor = bad}}, {"LossScaler.backoff_factor"});
  }
}

TEST(GradientHandling, SmallestAndLargestLossScaleUnscaleExactly) {
  for (const double scale : {0x1p-127, 0x1p-126, 0x1p127}) {
    FlatModel model({{static_cast<float>(scale)}}, 0.0f);
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.set_gradient_handling({.loss_scale = scale});
    optimizer.step();
    EXPECT_EQ(model.values[0][0], -1.0f) << scale;
  }
}

TEST_F(BadGradientHandling, GrowthFactorThatIsNotFiniteAndAboveOneIsRefused) {
  for (const double bad : {1.0, 0.5, -2.0, kInf, kNaN}) {
    expect_refused({.loss_scaler = LossScaler{.growth_factor = bad}},
                   {"LossScaler.growth_factor", "above 1"});
  }
  expect_refused({.loss_scaler = LossScaler{.growth_factor = 0.5}}, {"0.5"});
}

TEST_F(BadGradientHandling, BackoffFactorOutsideZeroToOneIsRefused) {
  for (const double bad : {0.0, 1.0, 1.5, -0.5, kNaN}) {
    expect_refused({.loss_scaler = LossScaler{.backoff_factor = bad}},
                   {"LossScaler.backoff_factor", "(0, 1)"});
  }
  expect_refused({.loss_scaler = LossScaler{.backoff_factor = 1.5}}, {"1.5"});
}

TEST_F(BadGradientHandling, GrowthIntervalBelowOneIsRefused) {
  for (const std::int64_t bad : {0, -3}) {
    expect_refused({.loss_scaler = LossScaler{.growth_interval = bad}},
                   {"LossScaler.growth_interval", std::to_string(bad)});
  }
}

TEST_F(BadGradientHandling, NumbersThatAreNoEnumeratorsAreRefused) {
  expect_refused({.nonfinite = static_cast<NonFinite>(3)}, {"nonfinite", "enumerators", "3"});
  expect_refused({.clip_norm = ClipGradNorm{.norm_type = static_cast<NormType>(4)}}, {"norm_type", "4"});
  expect_refused({.clip_norm = ClipGradNorm{.formula = static_cast<ClipFormula>(2)}}, {"formula", "2"});
}

TEST_F(BadGradientHandling, TwoLossScalesAtOnceAreRefused) {
  const float scale = 2.0f;
  expect_refused({.loss_scale = 4.0, .loss_scaler = LossScaler{}}, {"loss_scale", "loss_scaler"});
  expect_refused({.loss_scaler = LossScaler{}, .grad_scale = &scale}, {"grad_scale", "loss_scaler"});
}

TEST_F(BadGradientHandling, ShorthandsRefuseBadValues) {
  EXPECT_TRUE(refused([&] { optimizer_.clip_grad_norm(-1.0); }, {"max_norm", "-1"}));
  EXPECT_TRUE(refused([&] { optimizer_.clip_grad_value(-1.0); }, {"clip_value", "-1"}));
  EXPECT_EQ(optimizer_.gradient_handling(), kGood);
}

TEST(GradientHandling, EachShorthandChangesOnlyItsOwnField) {
  FlatModel model({{1.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  const float found_inf = 0.0f;
  optimizer.clip_grad_norm(2.0);
  optimizer.clip_grad_value(3.0);
  optimizer.set_nonfinite(NonFinite::skip);
  optimizer.set_found_inf(&found_inf);
  EXPECT_EQ(optimizer.gradient_handling(), (GradientHandling{.clip_norm = ClipGradNorm{.max_norm = 2.0},
                                                             .clip_value = 3.0,
                                                             .nonfinite = NonFinite::skip,
                                                             .found_inf = &found_inf}));
}

}  // namespace
}  // namespace onepass::test
