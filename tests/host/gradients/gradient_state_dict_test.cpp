// gradient_state_dict_test.cpp - a StateDict saves and restores the loss scale, the count of skipped steps
// and accumulated gradients.
#include <gtest/gtest.h>

#include <limits>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

const std::vector<Shape> kShapes{{.numel = 0},
                                 {.numel = 70, .value_misalignment = 1},
                                 {.numel = 1100, .grad_misalignment = 1},
                                 {.numel = 1}};

const GradientHandling kHandling{.clip_norm = ClipGradNorm{.max_norm = 0.5},
                                 .clip_value = 0.1,
                                 .nonfinite = NonFinite::error,
                                 .loss_scaler = LossScaler{.init_scale = 1024, .growth_interval = 3}};

/// Runs micro-batch `batch` of a training, counted from 0. Two make a step; every third has no gradient for
/// "t2", and every fifth contains a NaN.
void micro_batch(Model& model, Optimizer& optimizer, int batch) {
  model.draw_finite_gradients(batch);
  if (batch % 5 == 4) {
    std::vector<float> gradient = model.grad(1).read();
    gradient[3] = std::numeric_limits<float>::quiet_NaN();
    model.grad(1).write(gradient);
  }
  std::vector<Tensor> gradients = model.gradients();
  if (batch % 3 == 0) gradients[2] = Tensor{};
  optimizer.set_gradients(gradients);
  optimizer.accumulate();
  if (batch % 2 == 1) optimizer.step();
}

Optimizer handled(const RuleCase& rule, const Model& model) {
  Optimizer optimizer = rule.make(model.parameters(), {.accumulates_gradients = true});
  optimizer.set_gradient_handling(kHandling);
  return optimizer;
}

/// The counts and the loss scale, which a Snapshot does not contain.
std::vector<double> counts(const Optimizer& optimizer) {
  const StateDict dict = optimizer.state_dict();
  return {static_cast<double>(dict.steps), static_cast<double>(dict.skipped_steps),
          static_cast<double>(dict.micro_batches), dict.loss_scale, static_cast<double>(dict.growth_tracker)};
}

class GradientStates : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, GradientStates, testing::ValuesIn(rule_options()), by_name);

// The training stops after each of several micro-batches: in the middle of a sum, in the middle of the
// scaler's interval, and after a skipped step.
TEST_P(GradientStates, ResumingAfterAnyMicroBatchGivesTheSameBits) {
  constexpr int kBatches = 24;
  Model whole(kShapes);
  Optimizer steady = handled(GetParam(), whole);
  for (int batch = 0; batch < kBatches; ++batch) micro_batch(whole, steady, batch);
  EXPECT_GT(steady.skipped_steps(), 1);
  EXPECT_GT(steady.steps(), 6);
  for (int stop = 1; stop < kBatches; stop += 3) {
    Model first(kShapes), second(kShapes);
    StateDict dict;
    {
      Optimizer optimizer = handled(GetParam(), first);
      for (int batch = 0; batch < stop; ++batch) micro_batch(first, optimizer, batch);
      dict = optimizer.state_dict();
    }
    for (std::size_t t = 0; t < first.size(); ++t) second.value(t).write(first.value(t).read());
    Optimizer resumed = handled(GetParam(), second);
    resumed.load_state_dict(dict);
    for (int batch = stop; batch < kBatches; ++batch) micro_batch(second, resumed, batch);
    EXPECT_EQ(counts(steady), counts(resumed)) << "stopped after " << stop;
    EXPECT_TRUE(equal_bits(snapshot(whole.parameters(), steady), snapshot(second.parameters(), resumed)))
        << "stopped after " << stop;
  }
}

TEST(GradientStateDict, HoldsTheSumAndTheCounts) {
  FlatModel model({{1.0f, 2.0f}, {4.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), {.accumulates_gradients = true}};
  EXPECT_EQ(optimizer.state_dict().loss_scale, 0.0f) << "there is no scaler";
  optimizer.accumulate();
  optimizer.set_gradients(std::vector<Tensor>{std::span(model.grads[0]), Tensor{}});
  optimizer.accumulate();
  const StateDict dict = optimizer.state_dict();
  EXPECT_EQ(dict.micro_batches, 2);
  EXPECT_EQ(dict.parameters[0].accumulated, 2);
  EXPECT_EQ(dict.parameters[1].accumulated, 1);
  ASSERT_EQ(dict.parameters[0].gradient_sum.size(), 8u);
  const auto* const sum = reinterpret_cast<const float*>(dict.parameters[0].gradient_sum.data());
  EXPECT_EQ(sum[0], 2.0f);
  EXPECT_EQ(sum[1], 4.0f);
  EXPECT_EQ(dict.parameters[1].gradient_sum.size(), 4u);
  optimizer.step();
  EXPECT_EQ(optimizer.state_dict().micro_batches, 0);
  EXPECT_TRUE(optimizer.state_dict().parameters[0].gradient_sum.empty());
}

// A fixed scale is a hyperparameter. A dict that was saved with another scale, or with none, must not replace
// it.
TEST(GradientStateDict, FixedLossScaleIsNotLoaded) {
  FlatModel model({{8.0f}}, 0.0f);
  Optimizer plain{kShowsGradients, model.parameters()};
  Optimizer scaled{kShowsGradients, model.parameters()};
  scaled.set_gradient_handling({.loss_scale = 4});
  scaled.load_state_dict(plain.state_dict());
  EXPECT_EQ(scaled.loss_scale(), 4.0f);
  scaled.step();
  EXPECT_EQ(model.values[0][0], -2.0f);
  plain.load_state_dict(scaled.state_dict());
  EXPECT_EQ(plain.loss_scale(), 1.0f);
}

TEST(GradientStateDict, ScalerKeepsItsScaleIfTheDictHasNone) {
  FlatModel model({{8.0f}}, 0.0f);
  Optimizer plain{kShowsGradients, model.parameters()};
  Optimizer scaled{kShowsGradients, model.parameters()};
  scaled.set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 16, .growth_interval = 3}});
  scaled.step();
  scaled.load_state_dict(plain.state_dict());
  EXPECT_EQ(scaled.loss_scale(), 16.0f);
  plain.load_state_dict(scaled.state_dict());
  EXPECT_EQ(plain.loss_scale(), 1.0f) << "there is nothing that would scale the loss";
}

class BadGradientStateDict : public testing::Test {
 protected:
  void SetUp() override {
    optimizer_.set_gradient_handling(kHandling);
    for (int batch = 0; batch < 7; ++batch) micro_batch(model_, optimizer_, batch);
    Model other(kShapes);
    Optimizer elsewhere(Adam{}, other.parameters(), {.accumulates_gradients = true});
    elsewhere.set_gradient_handling(kHandling);
    for (int batch = 0; batch < 11; ++batch) micro_batch(other, elsewhere, batch);
    dict_ = elsewhere.state_dict();
  }

  void expect_refused(std::initializer_list<std::string> words) {
    const Snapshot before = snapshot(model_.parameters(), optimizer_);
    const std::vector<double> counted = counts(optimizer_);
    const std::vector<std::byte> sum = optimizer_.state_dict().parameters[1].gradient_sum;
    EXPECT_TRUE(refused([&] { optimizer_.load_state_dict(dict_); }, words));
    EXPECT_TRUE(equal_bits(before, snapshot(model_.parameters(), optimizer_)));
    EXPECT_EQ(counted, counts(optimizer_));
    EXPECT_EQ(sum, optimizer_.state_dict().parameters[1].gradient_sum);
  }

  Model model_{kShapes};
  Optimizer optimizer_{Adam{}, model_.parameters(), {.accumulates_gradients = true}};
  StateDict dict_;
};

TEST_F(BadGradientStateDict, GoodDictIsLoaded) {
  ASSERT_EQ(dict_.micro_batches, 1);
  optimizer_.load_state_dict(dict_);
  EXPECT_EQ(optimizer_.loss_scale(), dict_.loss_scale);
}

TEST_F(BadGradientStateDict, NegativeCountsAreRefused) {
  const StateDict good = dict_;
  dict_.steps = -4;
  expect_refused({"Optimizer", "-4 steps"});
  dict_ = good;
  dict_.micro_batches = -5;
  expect_refused({"-5 micro-batches"});
  dict_ = good;
  dict_.growth_tracker = -6;
  expect_refused({"-6"});
  dict_ = good;
  dict_.parameters[1].accumulated = -7;
  expect_refused({"-7", "\"t1\""});
}

TEST_F(BadGradientStateDict, LossScaleThatIsNegativeOrNotFiniteOrHasNoInverseIsRefused) {
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 2e-39f}) {
    dict_.loss_scale = bad;
    expect_refused({"loss scale"});
  }
}

TEST_F(BadGradientStateDict, SumOfAnotherSizeIsRefused) {
  dict_.parameters[1].gradient_sum.resize(69 * sizeof(float));
  expect_refused({"\"t1\"", "276", "280"});
  dict_.parameters[1].gradient_sum.clear();
  expect_refused({"\"t1\"", "0", "280"});
}

TEST_F(BadGradientStateDict, SumOfNoMicroBatchesIsRefused) {
  dict_.parameters[1].accumulated = 0;
  expect_refused({"\"t1\"", "280"});
}

TEST_F(BadGradientStateDict, MoreMicroBatchesOfAParameterThanInAllAreRefused) {
  dict_.parameters[1].accumulated = 2;
  expect_refused({"\"t1\"", "2", "1"});
}

TEST_F(BadGradientStateDict, SumsAreRefusedByAnOptimizerThatDoesNotAccumulate) {
  optimizer_ = Optimizer(Adam{}, model_.parameters());
  expect_refused({"accumulates_gradients"});
  dict_.micro_batches = 0;
  expect_refused({"micro-batches"});
}

}  // namespace
}  // namespace onepass::test
