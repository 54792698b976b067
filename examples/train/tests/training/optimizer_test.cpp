// optimizer_test.cpp - the optimizers by name, and the options that their hyperparameters make.
#include "training/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "onepass/error.hpp"
#include "onepass/optimizers/sgd.hpp"
#include "tests/training/trainer_support.hpp"
#include "training/hyperparameters.hpp"

namespace train {
namespace {

using onepass::Hyperparameter;
using testing::sentence;
using testing::TrainerTest;

/// Returns the name on the command line of a rule of the library.
std::string name_of(const onepass::Rule& rule) {
  std::string name(rule.name());
  std::ranges::transform(name, name.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return name;
}

/// Returns the settings of an optimizer with options, read as from the command line.
Settings settings_of(std::string optimizer,
                     const std::vector<std::pair<const char*, const char*>>& options = {}) {
  Settings settings{.optimizer = std::move(optimizer)};
  for (const auto& [option, text] : options) find_setting(option)->read(settings, text);
  return settings;
}

/// Returns another value that the hyperparameter may have.
double other_value(const onepass::Rule& rule, const Hyperparameter& one) {
  const double value = rule.get(one.name);
  if (one.kind != Hyperparameter::Kind::number) return value == 0.0 ? 1.0 : 0.0;
  for (const double other : {0.25, 0.5, 2.0, -1.0}) {
    if (other != value && one.range.contains(other)) return other;
  }
  return value;
}

/// Returns the rule with another value of a hyperparameter, or nothing if the others contradict it.
std::optional<onepass::Rule> changed(onepass::Rule rule, const Hyperparameter& one) {
  rule.set(one.name, other_value(rule, one));
  try {
    rule.check();
  } catch (const onepass::InvalidArgument&) {
    return std::nullopt;
  }
  return rule;
}

TEST(Optimizers, EveryRuleOfTheLibraryHasItsNameInLowerCase) {
  for (const onepass::Rule& rule : onepass::library_rules()) {
    const OptimizerKind* const kind = find_kind(name_of(rule));
    ASSERT_NE(kind, nullptr) << rule.name();
    EXPECT_EQ(kind->title, rule.name());
    EXPECT_EQ(kind->rule.name(), rule.name());
  }
}

TEST(Optimizers, PresetsHaveTheirTitlesAndHyperparameters) {
  const auto described = [](const char* name) { return describe(*find_kind(name)); };
  EXPECT_EQ(described("sgd"), "SGD, lr 0.05");
  EXPECT_EQ(described("momentum"), "Momentum, lr 0.02, momentum 0.9");
  EXPECT_EQ(described("nesterov"), "Nesterov, lr 0.02, momentum 0.9, nesterov true");
  EXPECT_EQ(described("rmsprop"), "RMSProp, lr 0.0005");
  EXPECT_EQ(described("rmsprop-centered"), "RMSProp centered, lr 0.0005, centered true");
  EXPECT_EQ(described("adam"), "Adam, lr 0.001");
  EXPECT_EQ(described("amsgrad"), "AMSGrad, lr 0.001, amsgrad true");
  EXPECT_EQ(described("adamw"), "AdamW, lr 0.001, weight decay 0.01");
}

TEST(Optimizers, EveryPresetOfTheLibraryHasTheNamesOfRuleAndPreset) {
  std::size_t presets = 0;
  for (const onepass::Rule& rule : onepass::library_rules()) {
    for (const onepass::Preset& preset : rule.presets()) {
      const OptimizerKind* const kind = find_kind(name_of(rule) + "." + preset.name);
      ASSERT_NE(kind, nullptr) << rule.name() << "." << preset.name;
      EXPECT_EQ(kind->title, std::string(rule.name()) + "." + preset.name);
      EXPECT_EQ(kind->rule, rule.preset(preset.name));
      EXPECT_TRUE(kind->is_preset_of_library);
      ++presets;
    }
  }
  EXPECT_GE(presets, 10u);
  EXPECT_EQ(describe(*find_kind("lamb.nvlamb")),
            "LAMB.nvlamb, lr 0.001, always adapt true, weight decay 0.01");
  EXPECT_EQ(find_kind("lamb.none"), nullptr);
  // The help of an option has the defaults of the rules.
  EXPECT_EQ(find_setting("--momentum-decay")->help.find("nadam.keras"), std::string::npos);
}

TEST(Optimizers, SmallStepsScaleTheRateInProportionForSgdAndByTheRootForOthers) {
  for (const OptimizerKind& kind : optimizer_kinds()) {
    Settings settings = settings_of(kind.name);
    settings.batch_size = 4;
    const double scale = kind.rule.name() == "SGD" ? 1.0 / 16.0 : 0.25;
    EXPECT_EQ(make_rule(settings).get("lr"), scale * kind.rule.get("lr")) << kind.name;
    settings.accumulate = 16;
    EXPECT_EQ(make_rule(settings).get("lr"), kind.rule.get("lr")) << kind.name;
  }
}

TEST(Optimizers, EveryHyperparameterOfEveryRuleIsAnOption) {
  for (const OptimizerKind& kind : optimizer_kinds()) {
    for (const Hyperparameter& one : kind.rule.hyperparameters()) {
      const Setting* const setting = find_setting(option_of(one.name));
      ASSERT_NE(setting, nullptr) << one.name;
      EXPECT_TRUE(setting->may_change) << one.name;
      EXPECT_TRUE(std::ranges::equal(setting->choices, one.choices, [](const Choice& a, std::string_view b) {
        return a.name == b;
      })) << one.name;
      const std::optional<onepass::Rule> expected = changed(kind.rule, one);
      if (!expected) continue;
      Settings settings = settings_of(kind.name);
      setting->read(settings, expected->text(one.name));
      EXPECT_EQ(make_rule(settings), *expected) << kind.name << " " << one.name;
      EXPECT_EQ(setting->write(resolve(settings, 60000)), expected->text(one.name)) << one.name;
    }
  }
}

TEST(Optimizers, GivenHyperparametersReplaceThoseOfAPreset) {
  const onepass::Rule rule =
      make_rule(settings_of("momentum", {{"--momentum", "0.50"}, {"--nesterov", "1"}}));
  EXPECT_EQ(rule.as<onepass::SGD>().momentum, 0.5);
  EXPECT_TRUE(rule.as<onepass::SGD>().nesterov);
  EXPECT_EQ(rule.as<onepass::SGD>().lr, 0.02);
  // The names that a saved run and the output have do not depend on how a value was written.
  const Settings resolved =
      resolve(settings_of("momentum", {{"--momentum", "0.50"}, {"--nesterov", "1"}}), 60000);
  EXPECT_EQ(find_setting("--momentum")->write(resolved), "0.5");
  EXPECT_EQ(find_setting("--nesterov")->write(resolved), "true");
}

TEST(Optimizers, HyperparametersThatAreOutOfPlaceOrRangeAreRefusedByTheirOption) {
  const auto refusal = [](const Settings& settings) {
    return sentence<UsageError>([&] { make_rule(settings); });
  };
  EXPECT_EQ(
      refusal(settings_of("sgd", {{"--beta1", "0.9"}})).rfind("--beta1: sgd has no beta1; it has lr, ", 0),
      0u);
  EXPECT_EQ(refusal(settings_of("adamw", {{"--beta1", "1.5"}})),
            "--beta1: AdamW.beta1 must lie in [0, 1), but is 1.5");
  EXPECT_EQ(refusal(settings_of("adam", {{"--beta2", "many"}})),
            "--beta2: Adam.beta2 must be a number, but is \"many\"");
  EXPECT_EQ(refusal(settings_of("nesterov", {{"--nesterov", "maybe"}})),
            "--nesterov: SGD.nesterov must be true or false, but is \"maybe\"");
  EXPECT_EQ(refusal(settings_of("rmsprop", {{"--epsilon", "outside"}})),
            "--epsilon: RMSProp.epsilon must be one of inside_root, outside_root, but is \"outside\"");
  EXPECT_EQ(refusal(settings_of("adam", {{"--lr", "1e300"}})),
            "--lr: Adam.lr must be at least 0 and finite in float32, but is 1e+300");
  EXPECT_EQ(refusal(settings_of("sgd", {{"--nesterov", "true"}})),
            "--optimizer sgd: SGD: nesterov needs a momentum above 0 and a dampening of 0");
}

TEST_F(TrainerTest, APresetOfTheLibraryTrainsAsItsRuleWithTheSameHyperparameters) {
  Settings same = config("nadam");
  same.hyperparameters = {{"momentum_decay", "10000"}, {"weight_decay_mode", "decoupled"}};
  Trainer by_name = make(config("nadam.optax")), by_hand = make(same), usual = make(config("nadam"));
  for (Trainer* const trainer : {&by_name, &by_hand, &usual}) trainer->run(5);
  EXPECT_EQ(testing::numbers_of(by_name), testing::numbers_of(by_hand));
  EXPECT_NE(testing::numbers_of(by_name), testing::numbers_of(usual));
  const Checkpoint saved = testing::through_a_file(by_name.checkpoint());
  Trainer after = make(config("nadam.optax"));
  after.restore(saved);
  after.run(3), by_name.run(3);
  EXPECT_EQ(testing::numbers_of(after), testing::numbers_of(by_name));
}

/// Returns names and sizes in numbers of a parameter's states of float32.
std::vector<std::pair<std::string, std::size_t>> states_of(const onepass::SavedParameter& parameter) {
  std::vector<std::pair<std::string, std::size_t>> states;
  for (const onepass::SavedState& state : parameter.states) {
    states.emplace_back(state.name, state.bytes.size() / sizeof(float));
  }
  return states;
}

TEST_F(TrainerTest, WeightsAreMatricesAndBiasesVectors) {
  using States = std::vector<std::pair<std::string, std::size_t>>;
  const std::pair<const char*, States> of_weights[] = {{"adafactor", {{"row_var", 12}, {"col_var", 16}}},
                                                       {"came",
                                                        {{"exp_avg", 192},
                                                         {"exp_avg_sq_row", 12},
                                                         {"exp_avg_sq_col", 16},
                                                         {"exp_avg_res_row", 12},
                                                         {"exp_avg_res_col", 16}}},
                                                       {"adammini", {{"exp_avg", 192}, {"vmean", 12}}}};
  for (const auto& [name, states] : of_weights) {
    Trainer trainer = make(config(name));
    trainer.run(1);
    const std::vector<onepass::SavedParameter> parameters = trainer.checkpoint().optimizer.parameters;
    ASSERT_EQ(parameters[0].name, "layer1.weight");
    EXPECT_EQ(states_of(parameters[0]), states) << name;
    EXPECT_EQ(states_of(parameters[1]).back().second, 12u) << name;
  }
}

class LibraryRule : public TrainerTest, public ::testing::WithParamInterface<onepass::Rule> {};
INSTANTIATE_TEST_SUITE_P(Trainer, LibraryRule,
                         ::testing::ValuesIn(onepass::library_rules().begin(),
                                             onepass::library_rules().end()),
                         [](const auto& info) { return std::string(info.param.name()); });

TEST_P(LibraryRule, TrainsByItsNameAndResumes) {
  const Settings settings = config(name_of(GetParam()));
  Trainer whole = make(settings);
  const std::vector<double> first = testing::numbers_of(whole);
  const History both = whole.run(8);
  EXPECT_FALSE(both.divergence);
  EXPECT_NE(testing::numbers_of(whole), first);
  const Checkpoint saved = testing::through_a_file(whole.checkpoint());
  ASSERT_EQ(saved.optimizer.groups.size(), 1u);
  EXPECT_EQ(saved.optimizer.groups[0].rule, GetParam().name());
  EXPECT_EQ(saved.optimizer.groups[0].hyperparameters.size(), GetParam().hyperparameters().size());

  Trainer before = make(settings);
  before.run(3);
  Trainer after = make(settings);
  after.restore(testing::through_a_file(before.checkpoint()));
  after.run(5);
  EXPECT_EQ(testing::file_of(after.checkpoint()), testing::file_of(whole.checkpoint()));
}

}  // namespace
}  // namespace train
