// presets_test.cpp - presets of rules by name: their lists, their settings, and what is refused.
#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

TEST(Preset, IsARuleWithTheSettingsOfItsFunction) {
  EXPECT_EQ(Rule::named("LAMB.nvlamb"), Rule(LAMB::nvlamb()));
  EXPECT_EQ(Rule::named("NAdam.keras"), Rule(NAdam::keras()));
  EXPECT_EQ(Rule(RMSProp{}).preset("torch"), Rule(RMSProp::torch()));
  EXPECT_EQ(RMSProp::torch().epsilon, Epsilon::outside_root);
  EXPECT_TRUE(LAMB::nvlamb().always_adapt);
  EXPECT_EQ(NAdam::keras().momentum_decay, 1.0);
}

TEST(Preset, ReplacesTheSettingsThatTheRuleHad) {
  const Rule changed = LAMB{.lr = 0.5, .beta1 = 0.25, .trust_clip = true};
  EXPECT_EQ(changed.preset("nvlamb"), Rule(LAMB::nvlamb()));
  EXPECT_EQ(changed.get("lr"), 0.5);
}

TEST(Preset, IsReachedByNameFromEveryRule) {
  std::size_t count = 0;
  for (const Rule& rule : library_rules()) {
    for (const Preset& one : rule.presets()) {
      const Rule preset = Rule::named(std::string(rule.name()) + "." + one.name);
      EXPECT_EQ(preset, rule.preset(one.name));
      EXPECT_EQ(preset.name(), rule.name());
      EXPECT_NO_THROW(preset.check()) << rule.name() << "." << one.name;
      ++count;
    }
  }
  EXPECT_GE(count, 10u);
}

TEST(Preset, HasANameOfItsOwnThatOptionsMayHave) {
  for (const Rule& rule : library_rules()) {
    std::set<std::string> names;
    for (const Preset& one : rule.presets()) {
      const std::string name = one.name;
      EXPECT_TRUE(names.insert(name).second) << rule.name() << " lists " << name << " twice";
      EXPECT_FALSE(name.empty());
      for (const unsigned char letter : name) {
        EXPECT_TRUE(std::islower(letter) != 0 || std::isdigit(letter) != 0 || letter == '_') << name;
      }
    }
  }
}

TEST(Preset, SaysInASentenceWhoseSettingsItHas) {
  for (const Rule& rule : library_rules()) {
    std::set<std::string> meanings;
    for (const Preset& one : rule.presets()) {
      const std::string meaning = one.meaning;
      EXPECT_TRUE(meanings.insert(meaning).second) << meaning;
      EXPECT_GE(meaning.size(), 20u) << meaning;
      EXPECT_TRUE(meaning.ends_with('.')) << meaning;
      EXPECT_EQ(meaning.find('\n'), std::string::npos) << meaning;
    }
  }
}

TEST(Preset, UnknownNameIsRefusedWithTheNamesThatExist) {
  const auto named = [](const char* name) { return [=] { static_cast<void>(Rule::named(name)); }; };
  EXPECT_TRUE(refused(named("NovoGrad.apex"), {"NovoGrad has no preset \"apex\"; it has these: optax"}));
  for (const Preset& one : Rule(LAMB{}).presets()) {
    EXPECT_TRUE(refused(named("LAMB.none"), {"LAMB has no preset \"none\"", one.name}));
  }
  EXPECT_TRUE(refused(named("SGD.apex"), {"SGD has no preset \"apex\"; it has none"}));
  EXPECT_TRUE(refused(named("LAMB."), {"LAMB has no preset \"\""}));
  EXPECT_TRUE(refused(named("LAMB.apex.optax"), {"LAMB has no preset \"apex.optax\""}));
  EXPECT_TRUE(refused(named("LAMP.apex"), {"there is no rule \"LAMP\""}));
  EXPECT_TRUE(refused([] { static_cast<void>(Rule(SGD{}).preset("apex")); }, {"SGD", "\"apex\""}));
}

TEST(Preset, StepsAnOptimizerWhoseStateDictHasTheRuleAndItsSettings) {
  std::vector<float> value{1.0f, -2.0f}, grad{0.5f, 0.25f};
  const std::vector<Parameter> parameters{{"weight", std::span(value), std::span(grad)}};
  Optimizer optimizer(Rule::named("RMSProp.torch"), parameters);
  optimizer.step();
  const StateDict saved = optimizer.state_dict();
  EXPECT_EQ(saved.groups[0].rule, "RMSProp");
  Optimizer other(RMSProp{}, parameters);
  other.load_state_dict(saved);
  EXPECT_EQ(other.rule(), Rule(RMSProp::torch()));
}

}  // namespace
}  // namespace onepass::test
