// micro_batch_test.cpp - micro-batches with weights: the step uses their weighted mean.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
const Options kAccumulates{.accumulates_gradients = true};

/// One parameter of one element, which starts at 0: a step by its mean gradient leaves the negated mean.
struct Single {
  FlatModel model{{{0.0f}}, 0.0f};
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};

  void add(float gradient, const MicroBatch& batch) {
    model.grads[0][0] = gradient;
    optimizer.accumulate(batch);
  }
  float mean() {
    model.values[0][0] = 0.0f;
    optimizer.step();
    return -model.values[0][0];
  }
};

std::vector<float> sum_of(const Optimizer& optimizer, std::size_t parameter) {
  const StateDict dict = optimizer.state_dict();
  const std::vector<std::byte>& bytes = dict.parameters.at(parameter).gradient_sum;
  std::vector<float> sum(bytes.size() / sizeof(float));
  std::memcpy(sum.data(), bytes.data(), bytes.size());
  return sum;
}

TEST(MicroBatch, StepUsesTheWeightedMean) {
  Single one;
  one.add(1.0f, {.weight = 3});
  one.add(5.0f, {.weight = 1});
  one.add(2.0f, {.weight = 4});
  EXPECT_EQ(one.mean(), 2.0f);
  one.add(6.0f, {.weight = 0.5});
  EXPECT_EQ(one.mean(), 6.0f) << "the weights of the first window count no more";
  one.add(6.0f, {.weight = 2});
  one.optimizer.accumulate();
  EXPECT_EQ(one.mean(), 6.0f) << "a call without a weight weighs 1";
}

// The loss of each micro-batch is the mean over its tokens. Weighted by their numbers, the step is that of
// one batch of all tokens, and not that of the mean of means.
TEST(MicroBatch, TokenCountsGiveTheMeanOverAllTokens) {
  const int tokens[] = {17, 2048, 300, 1, 999};
  Single one;
  double sum = 0.0, magnitude = 0.0;
  int all = 0;
  for (const int count : tokens) {
    double loss = 0.0;
    for (int i = 0; i < count; ++i) loss += uniform(static_cast<std::uint64_t>(all + i)) - 0.4;
    const auto gradient = static_cast<float>(loss / count);
    one.add(gradient, {.weight = static_cast<double>(count)});
    sum += static_cast<double>(gradient) * count;
    magnitude += std::fabs(static_cast<double>(gradient) * count);
    all += count;
  }
  // Each of the five sums rounds once, and so do the inverse of the weight and the product with it.
  EXPECT_NEAR(one.mean(), sum / all, 7 * 0x1p-24 * magnitude / all);
}

TEST(MicroBatch, SumIsOneFmaForEachOnEveryInstructionSet) {
  const std::vector<Shape> shapes{{.numel = 1030, .value_misalignment = 1, .grad_misalignment = 1},
                                  {.numel = 3}};
  for (const Isa isa : {Isa::baseline, Isa::best}) {
    Model model(shapes);
    Optimizer optimizer(SGD{}, model.parameters(), {.isa = isa, .accumulates_gradients = true});
    std::vector<float> wanted(1030);
    for (int batch = 0; batch < 4; ++batch) {
      model.draw_finite_gradients(batch);
      const float weight = 0.3f + static_cast<float>(batch);
      const std::vector<float> gradient = model.grad(0).read();
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        wanted[i] = batch == 0 ? weight * gradient[i] : std::fma(weight, gradient[i], wanted[i]);
      }
      optimizer.accumulate({.weight = weight});
    }
    EXPECT_TRUE(equal_bits(wanted, sum_of(optimizer, 0))) << to_string(isa);
  }
}

TEST(MicroBatch, WeightOfOneGivesTheBitsWithoutWeights) {
  Model model({{.numel = 1030, .grad_misalignment = 1}}), twin({{.numel = 1030, .grad_misalignment = 1}});
  Optimizer plain(AdamW{}, model.parameters(), kAccumulates),
      weighted(AdamW{}, twin.parameters(), kAccumulates);
  for (int batch = 0; batch < 3; ++batch) {
    model.draw_gradients(batch, 6);
    twin.draw_gradients(batch, 6);
    plain.accumulate();
    weighted.accumulate({.weight = 1});
  }
  EXPECT_TRUE(equal_bits(sum_of(plain, 0), sum_of(weighted, 0)));
  plain.step();
  weighted.step();
  EXPECT_TRUE(equal_bits(snapshot(model.parameters(), plain), snapshot(twin.parameters(), weighted)));
}

// A factor of all weights that is a power of two changes no bit, as long as nothing leaves the range of
// float32.
TEST(MicroBatch, OnlyTheRatiosOfWeightsCount) {
  const auto run = [](double factor) {
    Model model({{.numel = 300}, {.numel = 5}});
    Optimizer optimizer(AdamW{}, model.parameters(), kAccumulates);
    optimizer.clip_grad_norm(0.5);
    for (int batch = 0; batch < 4; ++batch) {
      model.draw_finite_gradients(batch);
      optimizer.accumulate({.weight = factor * (batch + 1)});
    }
    optimizer.step();
    return snapshot(model.parameters(), optimizer);
  };
  EXPECT_TRUE(equal_bits(run(1), run(1024)));
  EXPECT_TRUE(equal_bits(run(1), run(0.125)));
}

TEST(MicroBatch, NormIsThatOfTheWeightedMean) {
  FlatModel model({{3.0f}, {4.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), kAccumulates};
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{}, .loss_scale = 2.0});
  for (const double weight : {5.0, 7.0}) optimizer.accumulate({.weight = weight});
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 2.5);
}

TEST(MicroBatch, WeightOfZeroIsNoCall) {
  Single one;
  one.add(3.0f, {.weight = 2});
  for (const float bad : {kNaN, kInf, 7.0f}) one.add(bad, {.weight = 0});
  EXPECT_EQ(one.mean(), 3.0f);
  EXPECT_EQ(one.optimizer.steps(), 1);
  one.add(kNaN, {.weight = 0});
  one.add(5.0f, {.weight = 0.25});
  EXPECT_EQ(one.mean(), 5.0f) << "the first micro-batch with a weight is copied";
  one.add(9.0f, {.weight = 0});
  EXPECT_EQ(one.mean(), 0.0f) << "there are no gradients";
  EXPECT_EQ(one.optimizer.steps(), 2);
  EXPECT_EQ(one.optimizer.skipped_steps(), 0);
  EXPECT_EQ(one.optimizer.step_count("t0"), 2);
}

TEST(MicroBatch, WeightOfZeroStillZeroesGradients) {
  Single one;
  one.optimizer.set_gradient_handling({.zero_grad = true});
  one.add(kNaN, {.weight = 0});
  EXPECT_EQ(one.model.grads[0][0], 0.0f);
}

TEST(MicroBatch, WeightInMemoryIsReadWhenTheCallRuns) {
  Single one;
  float weight = 1.0f;
  const MicroBatch batch{.weight = 100, .weight_pointer = &weight};
  one.add(2.0f, batch);
  weight = 3.0f;
  one.add(6.0f, batch);
  for (const float bad : {0.0f, -0.0f, -1.0f, kNaN, kInf, -kInf}) {
    weight = bad;
    one.add(50.0f, batch);
  }
  EXPECT_EQ(one.mean(), 5.0f);
}

TEST(MicroBatch, WeightsOutOfRangeAreRefusedAndChangeNothing) {
  Single one;
  one.add(2.0f, {});
  for (const double bad : {-1.0, -1e-300, std::nan(""), double{kInf}, 1e39, 1e-60}) {
    EXPECT_TRUE(
        refused([&] { one.add(50.0f, {.weight = bad}); }, {"MicroBatch.weight must be 0, or above 0"}))
        << bad;
  }
  EXPECT_EQ(one.mean(), 2.0f);
  for (const double good : {0x1p-149, 3e38}) {
    one.add(0.5f, {.weight = good});
    one.optimizer.step();
  }
  EXPECT_EQ(one.optimizer.steps(), 3);
  FlatModel model({{2.0f}}, 0.0f);
  Optimizer plain{kShowsGradients, model.parameters()};
  EXPECT_TRUE(refused([&] { plain.accumulate({.weight = 2}); }, {"accumulates_gradients"}));
}

TEST(MicroBatch, StateDictKeepsTheWeight) {
  Single first, second;
  first.add(1.0f, {.weight = 3});
  const StateDict dict = first.optimizer.state_dict();
  EXPECT_EQ(dict.accumulated_weight, 3.0);
  second.optimizer.load_state_dict(dict);
  second.add(5.0f, {.weight = 1});
  EXPECT_EQ(second.mean(), 2.0f);
  EXPECT_EQ(second.optimizer.state_dict().accumulated_weight, 0.0);
}

TEST(MicroBatch, DictWithoutAWeightCountsItsMicroBatches) {
  Single first, second;
  first.add(1.0f, {});
  first.add(3.0f, {});
  StateDict dict = first.optimizer.state_dict();
  EXPECT_EQ(dict.accumulated_weight, 2.0);
  dict.accumulated_weight = 0.0;
  second.optimizer.load_state_dict(dict);
  EXPECT_EQ(second.mean(), 2.0f);
}

TEST(MicroBatch, DictWithABadWeightIsRefused) {
  Single one;
  one.add(1.0f, {});
  StateDict dict = one.optimizer.state_dict();
  for (const double bad : {-1.0, std::nan(""), double{kInf}}) {
    dict.accumulated_weight = bad;
    EXPECT_TRUE(refused([&] { one.optimizer.load_state_dict(dict); }, {"weight", "of 1 micro-batches"}))
        << bad;
  }
  one.optimizer.step();
  dict = one.optimizer.state_dict();
  dict.accumulated_weight = 2.0;
  EXPECT_TRUE(refused([&] { one.optimizer.load_state_dict(dict); }, {"weight 2", "of 0 micro-batches"}));
}

}  // namespace
}  // namespace onepass::test
