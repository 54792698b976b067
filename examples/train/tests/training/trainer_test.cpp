// trainer_test.cpp - whole runs on made-up images: every optimizer and batch size, repeated and resumed runs.
#include "training/trainer.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <iterator>

#include "tests/training/trainer_support.hpp"

namespace train {
namespace {

using testing::sentence;

}  // namespace

/// Prints a parameter for GoogleTest.
void PrintTo(const OptimizerKind& kind, std::ostream* out) { *out << kind.name; }

namespace {

using testing::bits;
using testing::TrainerTest;

class EveryOptimizer : public TrainerTest,
                       public ::testing::WithParamInterface<std::tuple<OptimizerKind, std::int64_t>> {};

TEST_P(EveryOptimizer, LowersTheLossWithAnyBatchSize) {
  const auto& [kind, batch_size] = GetParam();
  Settings small = config(kind.name, batch_size);
  // Rprop is for whole data sets: here the noise of small batches must not let its steps grow.
  if (kind.name == "rprop") small.hyperparameters["step_size_max"] = "0.003";
  // The default rates are for larger batches and longer runs. Rules differ in the rate that suits 500 steps.
  bool lowers_the_loss = false;
  for (const double lr : {0.01, 0.1, 0.001, 1.0}) {
    small.lr = lr;
    Trainer trainer = make(small);
    const double untrained = trainer.test().loss;
    EXPECT_NEAR(untrained, std::log(10.0), 0.2);
    trainer.run(500);
    lowers_the_loss = trainer.test().loss < 0.8 * untrained;
    if (lowers_the_loss) break;
  }
  EXPECT_TRUE(lowers_the_loss);
}

TEST_P(EveryOptimizer, AResumedRunEqualsAnUninterruptedOne) {
  const auto& [kind, batch_size] = GetParam();
  const std::string& name = kind.name;
  Trainer whole = make(config(name, batch_size));
  const History both = whole.run(11);  // with 7 images in a step this is within the first epoch

  Trainer before = make(config(name, batch_size));
  before.run(5);
  Trainer after = make(config(name, batch_size));
  after.restore(before.checkpoint());
  const History second = after.run(6);
  EXPECT_EQ(second.first_step, 5);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(second.losses.back()),
            std::bit_cast<std::uint64_t>(both.losses.back()));
  EXPECT_EQ(bits(after.checkpoint()), bits(whole.checkpoint()));
}

/// The presets of the library differ from their rules in hyperparameters alone: optimizer_test.cpp trains
/// them.
std::vector<OptimizerKind> own_kinds() {
  std::vector<OptimizerKind> kinds(optimizer_kinds().begin(), optimizer_kinds().end());
  std::erase_if(kinds, [](const OptimizerKind& kind) { return kind.is_preset_of_library; });
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Trainer, EveryOptimizer,
                         ::testing::Combine(::testing::ValuesIn(own_kinds()), ::testing::Values(1, 7, 0)),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param).name;
                           std::erase(name, '-');
                           const std::int64_t batch_size = std::get<1>(info.param);
                           return batch_size == 0 ? name + "_full" : fmt::format("{}_{}", name, batch_size);
                         });

TEST_F(TrainerTest, AnEpochUsesEveryImageOnceIncludingTheLastPartialBatch) {
  Trainer trainer = make(config("sgd"));
  EXPECT_EQ(trainer.steps_per_epoch(), 15);  // 14 batches of 7 and one of 2
  const History history = trainer.run(30);
  EXPECT_EQ(history.losses.size(), 30u);
  ASSERT_EQ(history.epochs.size(), 2u);
  EXPECT_EQ(history.epochs[0].last_step, 15);
  // With a rate of 0 the weights stay, so the mean over images is the same in every epoch, in any order.
  Settings still = config("sgd");
  still.lr = 0.0;
  const History flat = make(still).run(30);
  const auto over_images = [&](std::size_t first) {
    double sum = 0.0;
    for (std::size_t i = 0; i < 15; ++i) sum += flat.losses[first + i] * (i == 14 ? 2.0 : 7.0);
    return sum / 100.0;
  };
  EXPECT_NEAR(over_images(0), over_images(15), 1e-6);  // float32 losses of about 2.3
  EXPECT_NE(flat.losses[0], flat.losses[15]);
}

TEST_F(TrainerTest, TheSameSeedGivesTheSameBitsAndAnotherDoesNot) {
  Trainer first = make(config("adamw"));
  Trainer second = make(config("adamw"));
  Settings other_seed = config("adamw");
  other_seed.seed = 2;
  Trainer third = make(other_seed);
  first.run(20);
  second.run(20);
  third.run(20);
  EXPECT_EQ(bits(first.checkpoint()), bits(second.checkpoint()));
  EXPECT_NE(bits(first.checkpoint()), bits(third.checkpoint()));
}

TEST_F(TrainerTest, ProgressDoesNotChangeTheResult) {
  Trainer quiet = make(config("adam"));
  Trainer watched = make(config("adam"));
  const History one = quiet.run(20);
  int shown = 0;
  const History two = watched.run(
      20, {.wants_progress = [] { return true; }, .on_progress = [&](std::int64_t, double) { ++shown; }});
  EXPECT_EQ(one.losses, two.losses);
  EXPECT_EQ(shown, 20);
}

TEST_F(TrainerTest, WeightDecayAndRateChangeTheResult) {
  Settings decayed = config("sgd");
  decayed.weight_decay = 0.1;
  Settings slow = config("sgd");
  slow.lr = 1e-3;
  Trainer plain = make(config("sgd"));
  Trainer with_decay = make(decayed);
  Trainer with_rate = make(slow);
  plain.run(5);
  with_decay.run(5);
  with_rate.run(5);
  EXPECT_NE(bits(plain.checkpoint()), bits(with_decay.checkpoint()));
  EXPECT_NE(bits(plain.checkpoint()), bits(with_rate.checkpoint()));
}

TEST_F(TrainerTest, RestoringAnotherRunIsRefusedWithAMessage) {
  Trainer trainer = make(config("adam"));
  const Checkpoint saved = trainer.checkpoint();
  const auto refusal = [&](Settings other) {
    return sentence<UsageError>([&] { make(other).restore(saved); });
  };
  EXPECT_EQ(refusal(config("adamw")), "the saved run had --optimizer adam, but this one has adamw");
  EXPECT_EQ(refusal(config("adam", 0)), "the saved run had --batch-size 7, but this one has 100");
  Settings wider = config("adam");
  wider.hidden = {13};
  EXPECT_EQ(refusal(wider), "the saved run had --hidden 12, but this one has 13");
  Settings seed = config("adam");
  seed.seed = 5;
  EXPECT_EQ(refusal(seed), "the saved run had --seed 1, but this one has 5");
}

TEST_F(TrainerTest, RestoringRefusesAnotherActivationAndAcceptsAnotherRate) {
  const Checkpoint saved = make(config("adam")).checkpoint();
  Settings other = config("adam");
  other.activation = Activation::tanh;
  EXPECT_EQ(sentence<UsageError>([&] { make(other).restore(saved); }),
            "the saved run had --activation relu, but this one has tanh");
  Settings faster = config("adam");
  faster.lr = 0.5;
  Trainer trainer = make(faster);
  trainer.restore(saved);
  EXPECT_EQ(trainer.lr(), 0.5);
}

TEST_F(TrainerTest, DivergenceEndsTheRunAndIsReportedWithItsStep) {
  Settings wild = config("sgd");
  wild.lr = 1e30;
  std::vector<std::int64_t> told;
  const History history = make(wild).run(
      30, {.on_divergence = [&](const Divergence& divergence) { told.push_back(divergence.step); }});
  ASSERT_TRUE(history.divergence);
  EXPECT_FALSE(std::isfinite(history.divergence->loss));
  const std::int64_t before = history.divergence->step - 1;
  ASSERT_GT(before, 0);
  EXPECT_EQ(std::ssize(history.losses), before);
  EXPECT_EQ(std::ssize(history.rates), before);
  for (const double loss : history.losses) EXPECT_TRUE(std::isfinite(loss));
  EXPECT_TRUE(history.epochs.empty());  // an epoch has 15 steps
  EXPECT_EQ(told, std::vector<std::int64_t>{history.divergence->step});
}

TEST_F(TrainerTest, EveryStepHasItsRateAndEveryEpochBothScores) {
  Trainer trainer = make(config("adam"));
  const History history = trainer.run(20);
  EXPECT_EQ(history.rates, std::vector<double>(20, trainer.lr()));
  ASSERT_EQ(history.epochs.size(), 2u);
  const EpochResult& last = history.epochs.back();
  EXPECT_EQ(last.test.loss, trainer.test().loss);
  // The training score is that of the first 40 training images, as many as there are test images. A trainer
  // that is tested on these images gets the same score.
  Dataset swapped = data_;
  swapped.test = data_.training;
  swapped.test.count = 40;
  swapped.test.labels.resize(40);
  swapped.test.pixels.resize(static_cast<std::size_t>(40 * swapped.test.size));
  const DeviceDataset images{upload(*backend_, swapped.training, swapped.normalisation),
                             upload(*backend_, swapped.test, swapped.normalisation)};
  Trainer other(*backend_, images, config("adam"), {.threads = 1});
  other.run(20);
  EXPECT_EQ(last.train.loss, other.test().loss);
  EXPECT_EQ(last.train.accuracy, other.test().accuracy);
  EXPECT_NE(last.train.loss, last.test.loss);
}

TEST_F(TrainerTest, EveryActivationLowersTheLoss) {
  std::vector<double> losses;
  for (const ActivationKind& kind : kActivations) {
    Settings settings = config("adam");
    settings.activation = kind.activation;
    settings.lr = 0.01;
    Trainer trainer = make(settings);
    trainer.run(300);
    losses.push_back(trainer.test().loss);
    EXPECT_LT(losses.back(), 1.5) << kind.name;
  }
  EXPECT_NE(losses[0], losses[1]);
  EXPECT_NE(losses[1], losses[2]);
}

TEST_F(TrainerTest, WeightDecayIsCoupledOrDecoupledAsTheRuleSays) {
  for (const OptimizerKind& kind : optimizer_kinds()) {
    Settings settings = config(kind.name);
    settings.weight_decay = 0.125;
    const onepass::Rule rule = make_rule(settings);
    EXPECT_EQ(rule.get("weight_decay"), 0.125);
    EXPECT_EQ(rule.text("weight_decay_mode"), kind.rule.text("weight_decay_mode")) << kind.name;
  }
  EXPECT_EQ(find_kind("adam")->rule.text("weight_decay_mode"), "coupled");
  EXPECT_EQ(find_kind("adamw")->rule.text("weight_decay_mode"), "decoupled");
}

TEST_F(TrainerTest, ABatchLargerThanTheDataIsRefused) {
  EXPECT_NE(sentence<UsageError>([&] { make(config("sgd", 101)); }).find("from 1 to 100"), std::string::npos);
}

}  // namespace
}  // namespace train
