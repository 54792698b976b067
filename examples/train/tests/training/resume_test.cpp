// resume_test.cpp - runs that continue with other hyperparameters, or from a file of the version before.
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "onepass/error.hpp"
#include "tests/training/trainer_support.hpp"

namespace train {
namespace {

using testing::everything;
using testing::file_of;
using testing::numbers_of;
using testing::sentence;
using testing::through_a_file;
using testing::TrainerTest;

class Resume : public TrainerTest {
 protected:
  static Settings with(Settings settings, const char* hyperparameter, const char* text) {
    settings.hyperparameters[hyperparameter] = text;
    return settings;
  }

  /// Returns a trainer that continues a run.
  Trainer continued(const Settings& settings, const Checkpoint& saved) {
    Trainer trainer = make(settings);
    trainer.restore(saved);
    return trainer;
  }
};

/// Returns the text of a hyperparameter in a saved run.
std::string saved_text(const Checkpoint& checkpoint, std::string_view name) {
  for (const onepass::SavedHyperparameter& one : checkpoint.optimizer.groups.at(0).hyperparameters) {
    if (one.name == name) return one.value;
  }
  return "missing";
}

TEST_F(Resume, TheSavedHyperparametersContinue) {
  const Settings settings = with(config("adamw"), "beta1", "0.75");
  Trainer whole = make(settings);
  whole.run(8);
  Trainer before = make(settings);
  before.run(5);
  const Checkpoint saved = through_a_file(before.checkpoint());
  EXPECT_EQ(saved_text(saved, "beta1"), "0.75");
  // The settings of a resumed run are those of the file.
  Trainer after = continued(load_settings(saved.settings), saved);
  after.run(3);
  EXPECT_EQ(file_of(after.checkpoint()), file_of(whole.checkpoint()));
  EXPECT_NE(file_of(make(config("adamw")).checkpoint()), file_of(make(settings).checkpoint()));
}

TEST_F(Resume, ChangedHyperparametersReplaceTheSavedOnes) {
  Trainer before = make(with(config("rmsprop"), "alpha", "0.75"));
  before.run(5);
  const Checkpoint saved = through_a_file(before.checkpoint());
  Settings changed = with(load_settings(saved.settings), "alpha", "0.5");
  changed = with(changed, "epsilon", "outside_root");
  changed.weight_decay = 0.125;
  const Trainer after = continued(changed, saved);
  EXPECT_EQ(saved_text(after.checkpoint(), "alpha"), "0.5");
  EXPECT_EQ(saved_text(after.checkpoint(), "epsilon"), "outside_root");
  EXPECT_EQ(saved_text(after.checkpoint(), "weight_decay"), "0.125");
  EXPECT_EQ(saved_text(after.checkpoint(), "lr"), saved_text(saved, "lr"));
}

/// As after a change of the library's defaults.
TEST_F(Resume, HyperparametersThatTheSettingsDoNotChangeStayAsTheyWereSaved) {
  Checkpoint saved = make(config("adam")).checkpoint();
  for (onepass::SavedHyperparameter& one : saved.optimizer.groups.at(0).hyperparameters) {
    if (one.name == "beta2") one.value = "0.75";
  }
  const Trainer after = continued(with(config("adam"), "beta1", "0.5"), through_a_file(saved));
  EXPECT_EQ(saved_text(after.checkpoint(), "beta1"), "0.5");
  EXPECT_EQ(saved_text(after.checkpoint(), "beta2"), "0.75");
}

TEST_F(Resume, HyperparametersThatNeedOtherStatesAreRefused) {
  const auto refusal = [&](const char* optimizer, const char* hyperparameter, const char* text) {
    const Checkpoint saved = make(config(optimizer)).checkpoint();
    return sentence<UsageError>([&] { make(with(config(optimizer), hyperparameter, text)).restore(saved); });
  };
  EXPECT_EQ(refusal("adam", "amsgrad", "true"),
            "the saved run had --amsgrad false, but this one has true, which needs other states");
  EXPECT_EQ(refusal("rmsprop-centered", "centered", "false"),
            "the saved run had --centered true, but this one has false, which needs other states");
  EXPECT_EQ(refusal("momentum", "momentum", "0"),
            "the saved run had --momentum 0.9, but this one has 0, which needs other states");
}

TEST_F(Resume, NumbersOfStepsThatAreNotTheOptimizersAreRefused) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  Trainer before = make(config("adamw"));
  before.run(3);
  const Checkpoint good = before.checkpoint();
  const auto refusal = [&](const Checkpoint& bad) {
    return sentence<Failure>([&] { continued(config("adamw"), through_a_file(bad)); });
  };
  for (const std::int64_t step :
       {std::int64_t{-1}, -kMost - 1, kMost, std::int64_t{1} << 40, std::int64_t{2}}) {
    Checkpoint bad = good;
    bad.step = step;
    EXPECT_EQ(refusal(bad), "the saved run cannot be read: it has taken " + std::to_string(step) +
                                " steps, but its optimizer 3 and skipped 0");
  }
  Checkpoint bad = good;
  bad.step = -2;
  bad.optimizer.steps = -2;
  EXPECT_NE(refusal(bad).find("it has taken -2 steps"), std::string::npos);
}

TEST_F(Resume, CountsThatTheOptimizerRefusesAreRefused) {
  const Checkpoint good = make(config("adamw")).checkpoint();
  Checkpoint far = good;
  far.step = far.optimizer.steps = std::numeric_limits<std::int64_t>::max();
  EXPECT_NE(sentence<onepass::InvalidArgument>([&] { continued(config("adamw"), far); }).find("2^53"),
            std::string::npos);
  Checkpoint steps = good;
  steps.optimizer.parameters[0].step = -1;
  EXPECT_NE(sentence<onepass::InvalidArgument>([&] { continued(config("adamw"), steps); }).find("-1 steps"),
            std::string::npos);
}

/// The trainer at commit 18b5bac, the last that wrote version 4, saved the file version4.run after seven
/// steps of the run whole() below.
class OldFile : public Resume {
 protected:
  static Settings settings() { return everything("momentum"); }
  static Checkpoint load() { return load_checkpoint(ONEPASS_TRAIN_OLD_RUN); }
};

TEST_F(OldFile, HasARuleAndRatesInPlaceOfGroups) {
  const Checkpoint old = load();
  EXPECT_EQ(old.step, 7);
  EXPECT_EQ(old.optimizer.rule, "SGD");
  EXPECT_EQ(old.optimizer.lrs, std::vector<double>{0.02});
  EXPECT_TRUE(old.optimizer.groups.empty());
}

TEST_F(OldFile, BecomesAFileOfThisVersionWithTheSameContents) {
  const Checkpoint old = load();
  const Trainer trainer = continued(load_settings(old.settings), old);
  const Checkpoint saved = through_a_file(trainer.checkpoint());
  EXPECT_EQ(testing::bits(saved), testing::bits(old));
  EXPECT_EQ(saved.dropout, old.dropout);
  EXPECT_EQ(saved.optimizer.steps, 7);
  EXPECT_EQ(saved.optimizer.schedules, old.optimizer.schedules);
  EXPECT_EQ(saved_text(saved, "momentum"), "0.9");
  EXPECT_EQ(saved_text(saved, "weight_decay"), "0.01");
  EXPECT_EQ(saved_text(saved, "lr"), "0.02");
}

TEST_F(OldFile, ContinuesAsItsRun) {
  Trainer whole = make(settings());
  History both = whole.run(13);
  Trainer after = continued(settings(), load());
  const History second = after.run(6);
  // OpenBLAS may add in another order on another processor: a gradient then differs by about 1e-7, and the
  // weights by less, at a rate of at most 0.02. A run without the saved L1 penalty differs by 9e-5, and one
  // with another decay, schedule, mask or buffer by 2e-3 and more.
  const std::vector<double> expected = numbers_of(whole);
  const std::vector<double> numbers = numbers_of(after);
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(numbers[i], expected[i], 1e-6) << i;
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(second.losses[i], both.losses[7 + i], 1e-5) << i;
}

TEST_F(OldFile, ContinuesWithOtherHyperparameters) {
  Settings changed = with(settings(), "momentum", "0.5");
  changed.lr = 0.5;
  const Trainer after = continued(changed, load());
  EXPECT_EQ(saved_text(after.checkpoint(), "momentum"), "0.5");
  EXPECT_EQ(saved_text(after.checkpoint(), "lr"), "0.5");
  EXPECT_EQ(sentence<UsageError>([&] { continued(with(settings(), "momentum", "0"), load()); }),
            "the saved run had --momentum 0.9, but this one has 0, which needs other states");
}

}  // namespace
}  // namespace train
