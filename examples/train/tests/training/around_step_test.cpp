// around_step_test.cpp - the exact effect of each option around the step, on made-up images.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "onepass/schedules/cosine_annealing_lr.hpp"
#include "report/report.hpp"
#include "tests/training/trainer_support.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

using testing::everything;
using testing::file_of;
using testing::numbers_of;
using testing::sentence;
using testing::TrainerTest;

class AroundStep : public TrainerTest {
 protected:
  /// Plain gradient descent at a rate of 1, so that a step subtracts the gradient itself.
  static Settings descent() {
    Settings settings = config("sgd");
    settings.lr = 1.0;
    return settings;
  }

  std::vector<double> after(const Settings& settings, std::int64_t steps) {
    Trainer trainer = make(settings);
    trainer.run(steps);
    return numbers_of(trainer);
  }

  double norm_of_first_step(const Settings& settings) {
    const std::vector<double> before = after(settings, 0);
    const std::vector<double> then = after(settings, 1);
    double sum = 0.0;
    for (std::size_t i = 0; i < before.size(); ++i) sum += (before[i] - then[i]) * (before[i] - then[i]);
    return std::sqrt(sum);
  }
};

class EverythingOn : public AroundStep, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, EverythingOn, ::testing::Values("sgd", "momentum", "rmsprop", "adamw"));

TEST_P(EverythingOn, AResumedRunEqualsAnUninterruptedOne) {
  Trainer whole = make(everything(GetParam()));
  const History both = whole.run(13);
  for (const std::int64_t stop : {3, 5, 12}) {
    Trainer before = make(everything(GetParam()));
    History first = before.run(stop);
    Trainer after = make(everything(GetParam()));
    after.restore(testing::through_a_file(before.checkpoint()));
    const History second = after.run(13 - stop);
    std::ranges::copy(second.losses, std::back_inserter(first.losses));
    std::ranges::copy(second.rates, std::back_inserter(first.rates));
    EXPECT_EQ(first.losses, both.losses) << stop;
    EXPECT_EQ(first.rates, both.rates) << stop;
    EXPECT_EQ(file_of(after.checkpoint()), file_of(whole.checkpoint())) << stop;
  }
}

TEST_P(EverythingOn, TrainingLowersTheLoss) {
  Settings settings = everything(GetParam());
  settings.schedule_steps = 200;
  settings.l1 = 1e-4;
  settings.dropout = 0.1;
  settings.lr = std::string(GetParam()) == "sgd" ? 0.5 : 0.02;
  Trainer trainer = make(settings);
  const double untrained = trainer.test().loss;
  trainer.run(200);
  EXPECT_LT(trainer.test().loss, 0.8 * untrained);
}

TEST_F(AroundStep, EveryStepHasTheRateOfTheSchedule) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    for (const std::int64_t warmup : {0, 6}) {
      Settings settings = config("momentum");
      settings.lr = 0.1;
      settings.schedule = kind.name;
      settings.schedule_steps = 21;
      settings.warmup = warmup;
      Trainer trainer = make(settings);
      const History history = trainer.run(25);
      const onepass::Schedule schedule = make_schedule(trainer.settings());
      for (std::size_t i = 0; i < history.rates.size(); ++i) {
        EXPECT_EQ(history.rates[i], schedule.lr(0.1, static_cast<std::int64_t>(i))) << kind.name << " " << i;
      }
      EXPECT_EQ(trainer.lr(), schedule.lr(0.1, 25)) << kind.name;
    }
  }
}

TEST_F(AroundStep, TheCsvFileContainsTheRatesOfTheSchedule) {
  Settings settings = config("adamw");
  settings.lr = 0.1;
  settings.schedule = "cosine";
  settings.schedule_steps = 12;
  Trainer trainer = make(settings);
  const testing::Folder folder;
  write_csv({{.label = "run", .lr = 0.1, .history = trainer.run(12), .steps_per_epoch = 15}}, folder / "f");
  std::ifstream file(folder / "f");
  std::string line;
  std::getline(file, line);
  for (std::int64_t step = 0; step < 12; ++step) {
    ASSERT_TRUE(std::getline(file, line));
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 4; ++i) std::getline(fields, field, ',');
    EXPECT_EQ(std::stod(field), onepass::Schedule(onepass::CosineAnnealingLR{.T_max = 12}).lr(0.1, step));
  }
}

TEST_F(AroundStep, TheFirstStepOfAWarmupChangesNothingAndTheSecondDoes) {
  Settings settings = config("sgd");
  settings.warmup = 10;
  const std::vector<double> first = after(settings, 0);
  EXPECT_EQ(after(settings, 1), first);
  EXPECT_NE(after(settings, 2), first);
}

TEST_F(AroundStep, AccumulatedBatchesEqualOneLargeBatch) {
  for (const double dropout : {0.0, 0.4}) {
    Settings batches = descent();
    batches.lr = 0.125;
    batches.dropout = dropout;
    batches.accumulate = 3;
    Settings whole = batches;
    whole.accumulate = 1;
    whole.batch_size = 21;
    Trainer in_batches = make(batches);
    Trainer at_once = make(whole);
    EXPECT_EQ(in_batches.steps_per_epoch(), 5);
    const History one = in_batches.run(5);  // the last step has batches of 7, 7 and 2 images
    const History other = at_once.run(5);
    // A gradient is a mean of 21 products at the end of three sums of at most 16 terms, whose size is at
    // most 3. The two orders of addition differ by less than (21 + 3 * 16) * 3 * 2^-24 = 1.2e-5, an eighth of
    // which changes a weight in each of five steps. Different dropout masks would change it by 1e-2.
    const std::vector<double> a = numbers_of(in_batches);
    const std::vector<double> b = numbers_of(at_once);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << dropout << " " << i;
    for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(one.losses[i], other.losses[i], 1e-5) << dropout;
  }
}

TEST_F(AroundStep, TheDefaultRateDependsOnTheImagesOfAStepNotOfABatch) {
  Settings batches = config("sgd", 8);
  batches.accumulate = 4;
  Settings whole = config("sgd", 32);
  EXPECT_EQ(make(batches).lr(), make(whole).lr());
  EXPECT_NE(make(batches).lr(), make(config("sgd", 8)).lr());
}

TEST_F(AroundStep, ClippingBoundsTheNormOfTheAppliedGradient) {
  const double norm = norm_of_first_step(descent());
  ASSERT_GT(norm, 0.1);
  Settings clipped = descent();
  clipped.clip = norm / 3.0;
  // PyTorch's formula makes the norm smaller by 1e-6 / norm of itself; p - g is rounded to 2^-24 of p, whose
  // norm is about 5.
  EXPECT_NEAR(norm_of_first_step(clipped), norm / 3.0, 2e-6);
  Settings loose = descent();
  loose.clip = 2.0 * norm;
  EXPECT_EQ(after(loose, 1), after(descent(), 1));
}

TEST_F(AroundStep, ClippingByParameterBoundsEachNormAlone) {
  Settings clipped = descent();
  clipped.clip = 0.05;
  clipped.clips_each = true;
  Trainer before = make(clipped), trainer = make(clipped), plain = make(descent());
  trainer.run(1);
  plain.run(1);
  const auto norms = [&](const Trainer& after) {
    std::vector<double> norms;
    const std::vector<NamedValues> from = before.network().read(), to = after.network().read();
    for (std::size_t t = 0; t < from.size(); ++t) {
      double sum = 0.0;
      for (std::size_t i = 0; i < from[t].values.size(); ++i) {
        sum += std::pow(double{from[t].values[i]} - double{to[t].values[i]}, 2);
      }
      norms.push_back(std::sqrt(sum));
    }
    return norms;
  };
  const std::vector<double> own = norms(plain), bounded = norms(trainer);
  EXPECT_GT(std::ranges::count_if(own, [](double norm) { return norm > 0.05; }), 1);
  for (std::size_t t = 0; t < own.size(); ++t) EXPECT_NEAR(bounded[t], std::min(own[t], 0.05), 2e-6) << t;
}

TEST_F(AroundStep, ProximalL1ShrinksEveryWeightByRateTimesL1AndStopsAtZero) {
  Settings settings = config("sgd");
  settings.lr = 0.5;
  settings.l1 = 0.125;
  const std::vector<double> shrunk = after(settings, 1);
  settings.l1 = 0.0;
  const std::vector<double> plain = after(settings, 1);
  std::int64_t zeros = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    // onepass subtracts in float32; std::copysign keeps the sign of zeros.
    const float left = std::max(std::abs(static_cast<float>(plain[i])) - 0.0625f, 0.0f);
    ASSERT_EQ(shrunk[i], static_cast<double>(std::copysign(left, static_cast<float>(plain[i])))) << i;
    zeros += shrunk[i] == 0.0 ? 1 : 0;
  }
  EXPECT_GT(zeros, 0);
}

TEST_F(AroundStep, SubgradientL1IsAddedToTheGradient) {
  Settings settings = config("sgd");
  settings.lr = 0.5;
  const std::vector<double> start = after(settings, 0);
  const std::vector<double> plain = after(settings, 1);
  settings.l1 = 0.125;
  settings.l1_mode = onepass::L1::subgradient;
  const std::vector<double> moved = after(settings, 1);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double sign = start[i] == 0.0 ? 0.0 : std::copysign(1.0, start[i]);
    // The tolerance is three roundings of numbers below 2.
    ASSERT_NEAR(moved[i], plain[i] - 0.0625 * sign, 3 * 0x1p-24) << i;
  }
}

TEST_F(AroundStep, ThePenaltyMatchesTheFormulaAndIsZeroForDecoupledDecay) {
  Settings settings = config("sgd");
  settings.l1 = 0.01;
  settings.weight_decay = 0.1;
  Trainer trainer = make(settings);
  const History history = trainer.run(15);
  double expected = 0.0;
  for (const double p : numbers_of(trainer)) expected += 0.5 * 0.1 * p * p + 0.01 * std::abs(p);
  EXPECT_NEAR(history.epochs.back().penalty, expected,
              1e-6 * expected);  // onepass rounds l1 and decay to float32
  EXPECT_EQ(make(config("adamw")).run(15).epochs.back().penalty, 0.0);  // decoupled
}

TEST_F(AroundStep, DropoutThatDropsNothingEqualsNoDropout) {
  Settings none = config("adamw");
  Settings nothing = config("adamw");
  nothing.dropout = 1e-12;  // below its resolution of 2^-32: dropout runs, and keeps every output
  Settings something = config("adamw");
  something.dropout = 0.2;
  EXPECT_EQ(after(nothing, 20), after(none, 20));
  EXPECT_NE(after(something, 20), after(none, 20));
  EXPECT_EQ(make(something).test().loss, make(none).test().loss);  // tests run without dropout
}

TEST_F(AroundStep, EveryStepAdvancesTheDropoutMasks) {
  Settings settings = everything("adamw");
  settings.seed = 9;
  Trainer trainer = make(settings);
  trainer.run(13);  // steps of three batches
  EXPECT_EQ(trainer.checkpoint().dropout, (onepass::RandomPosition{.seed = 9, .offset = 13}));
}

TEST_F(AroundStep, EveryInitialisationGivesADifferentRun) {
  std::vector<double> seen;
  for (const char* init : {"he-uniform", "he-normal", "xavier-uniform", "xavier-normal", "lecun-uniform",
                           "lecun-normal", "orthogonal", "naive"}) {
    Settings settings = config("sgd");
    settings.init = init;
    seen.push_back(make(settings).run(3).losses.back());
  }
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

TEST_F(AroundStep, ARunResumedAtAnotherRateKeepsItsPlaceInTheSchedule) {
  for (const char* schedule : {"cosine", "one-cycle"}) {
    Settings settings = everything("momentum");
    settings.schedule = schedule;
    Trainer before = make(settings);
    before.run(7);
    settings.lr = 0.5;
    Trainer after = make(settings);
    after.restore(testing::through_a_file(before.checkpoint()));
    EXPECT_EQ(after.lr(), make_schedule(after.settings()).lr(0.5, 7)) << schedule;
    EXPECT_NE(after.lr(), before.lr()) << schedule;
  }
}

TEST_F(AroundStep, RestoringRefusesChangesOfScheduleDropoutAndAccumulation) {
  const Checkpoint saved = make(everything("adamw")).checkpoint();
  const auto refusal = [&](auto change) {
    Settings other = everything("adamw");
    change(other);
    return sentence<UsageError>([&] { make(other).restore(saved); });
  };
  EXPECT_EQ(refusal([](Settings& s) { s.schedule = "wsd"; }),
            "the saved run had --schedule one-cycle, but this one has wsd");
  EXPECT_EQ(refusal([](Settings& s) { s.schedule_steps = 21; }),
            "the saved run had --schedule-steps 20, but this one has 21");
  EXPECT_EQ(refusal([](Settings& s) { s.warmup = 0; }), "the saved run had --warmup 4, but this one has 0");
  EXPECT_EQ(refusal([](Settings& s) { s.dropout = 0.5; }),
            "the saved run had --dropout 0.3, but this one has 0.5");
  EXPECT_EQ(refusal([](Settings& s) { s.accumulate = 2; }),
            "the saved run had --accumulate 3, but this one has 2");
  Settings freer = everything("adamw");
  freer.clip = {};
  freer.l1 = 0.5;
  freer.l1_mode = onepass::L1::subgradient;
  make(freer).restore(saved);
}

TEST_F(AroundStep, SettingsThatContradictEachOtherAreRefused) {
  Settings settings = config("sgd");
  settings.accumulate = 15;
  EXPECT_EQ(make(settings).steps_per_epoch(), 1);
  settings.accumulate = 16;
  EXPECT_EQ(
      sentence<UsageError>([&] { make(settings); }),
      "--accumulate must not be more than the 15 batches of 7 that 100 training images make, but is 16");
  settings = config("sgd");
  settings.schedule = "cosine";
  EXPECT_EQ(sentence<UsageError>([&] { make(settings); }), "--schedule cosine needs --schedule-steps");
}

}  // namespace
}  // namespace train
