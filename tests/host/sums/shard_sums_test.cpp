// shard_sums_test.cpp - shards that add up their sums over tensors step as the whole model does.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/shards/sharded_model.hpp"

namespace onepass::test {
namespace {

const std::vector<std::int64_t> kNumels{5000, 3, 9000, 1024};

/// Cuts anywhere; some shards have nothing of a tensor.
const std::vector<std::vector<std::int64_t>> kCuts{
    {1, 0, 4001, 0}, {1, 0, 8992, 1024}, {4096, 3, 8993, 1024}};

const std::vector<Rule> kRules{LAMB{.lr = 0.01, .weight_decay = 0.1},
                               LARS{.lr = 0.5, .trust_coeff = 0.1, .weight_decay = 0.1}};

/// Takes steps and expects all shards to have done what the whole has.
void expect_like_the_whole(ShardedModel& model, int steps = 4) {
  for (int step = 1; step <= steps; ++step) {
    model.draw(step);
    model.step_with_sums();
    for (std::size_t t = 0; t < model.tensors(); ++t) {
      ASSERT_TRUE(equal_bits(model.whole().value(t), model.value(t))) << "tensor " << t << ", step " << step;
    }
  }
}

TEST(ShardSums, StepAsTheWholeWhereverTensorsAreCut) {
  ShardedModel model(kNumels, kCuts, {}, {}, kRules);
  expect_like_the_whole(model);
}

// The mean over a tensor is over all of its elements, and not over those of a shard.
TEST(ShardSums, TakeTheMeanOverTheWholeTensor) {
  ShardedModel model(kNumels, kCuts, {}, {}, {StableAdamW{.lr = 0.01, .beta2 = 0.5}, StableAdamW{.lr = 0.1}});
  expect_like_the_whole(model, 8);
}

// A shard that has nothing of a tensor still moves by the sums over it.
TEST(ShardSums, OverTheModelStepAsTheWhole) {
  const Prodigy prodigy{.d0 = 0.01, .weight_decay = 0.1};
  for (const std::vector<Rule>& rules : {std::vector<Rule>{prodigy, prodigy}, {prodigy, kRules[0]}}) {
    ShardedModel model(kNumels, kCuts, {}, {}, rules);
    expect_like_the_whole(model, 8);
  }
}

TEST(ShardSums, StepAsTheWholeWithTheNormOfAll) {
  ShardedModel model(kNumels, kCuts, {.clip_norm = ClipGradNorm{.max_norm = 0.5, .exact = true}}, {}, kRules);
  expect_like_the_whole(model);
}

TEST(ShardSums, LeaveRulesWithoutSumsAlone) {
  ShardedModel model(kNumels, kCuts, {}, {}, {AdamW{.lr = 0.01}, kRules[0]});
  expect_like_the_whole(model);
}

// The step is skipped on all shards; the next one has the bits of the whole.
TEST(ShardSums, OfASkippedStepAreForgotten) {
  ShardedModel model(kNumels, kCuts, {.clip_norm = ClipGradNorm{.exact = true}, .nonfinite = NonFinite::skip},
                     {}, kRules);
  expect_like_the_whole(model, 2);
  model.draw(3);
  model.whole().grad(2)[8999] = std::numeric_limits<float>::infinity();
  model.shard(3).grad(2).back() = std::numeric_limits<float>::infinity();
  model.step_with_sums();
  EXPECT_EQ(model.optimizer().skipped_steps(), 1);
  model.each([](Shard& shard) { EXPECT_EQ(shard.optimizer().skipped_steps(), 1); });
  expect_like_the_whole(model);
}

TEST(ShardSums, OfATensorWithoutAGradientLeaveItOut) {
  ShardedModel model(kNumels, kCuts, {}, {}, kRules);
  model.whole().drop_gradient(2);
  model.each([](Shard& shard) { shard.drop_gradient(2); });
  const std::vector<float> before = model.whole().value(2);
  expect_like_the_whole(model);
  EXPECT_EQ(before, model.value(2));
}

TEST(ShardSums, AreTakenInPairsOfCalls) {
  ShardedModel model(kNumels, {}, {}, {}, kRules);
  Optimizer& optimizer = model.optimizer();
  std::vector<std::int64_t> words(static_cast<std::size_t>(optimizer.sums_numel()));
  const Tensor sums = ShardedModel::words_of(words);
  EXPECT_EQ(sums.numel, 4 * 67);
  EXPECT_TRUE(
      refused([&] { optimizer.finish_step(sums); }, {"finish_step() was called without begin_step()"}));
  optimizer.begin_step(sums);
  const std::string sentence = "was called after begin_step(); finish_step() ends the step";
  EXPECT_TRUE(refused([&] { optimizer.step(); }, {"step() " + sentence}));
  EXPECT_TRUE(refused([&] { optimizer.begin_step(sums); }, {"begin_step() " + sentence}));
  EXPECT_TRUE(
      refused([&] { optimizer.step_some(std::vector<std::size_t>{0}); }, {"step_some() " + sentence}));
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.state_dict()); }, {"state_dict() " + sentence}));
  optimizer.finish_step(sums);
  optimizer.step();
  EXPECT_EQ(optimizer.steps(), 2);
}

TEST(ShardSums, ThatDoNotFitAreRefused) {
  ShardedModel model(kNumels, {}, {}, {}, kRules);
  std::vector<std::int64_t> few(4);
  EXPECT_TRUE(refused([&] { model.optimizer().begin_step(ShardedModel::words_of(few)); },
                      {"the sums given to begin_step() has 4 elements, but must have 268 (sums_numel())"}));
  std::vector<double> other(268);
  EXPECT_TRUE(refused(
      [&] {
        model.optimizer().begin_step({other.data(), DType::float64, 268});
      },
      {"the sums given to begin_step()", "int64", "float64"}));
  ShardedModel without(kNumels, {}, {});
  EXPECT_TRUE(refused([&] { without.optimizer().begin_step(ShardedModel::words_of(few)); },
                      {"begin_step() needs a rule that takes sums over tensors"}));
  EXPECT_EQ(without.optimizer().sums_numel(), 0);
}

}  // namespace
}  // namespace onepass::test
