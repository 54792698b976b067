// errors_test.cpp - the C interface refuses every invalid argument with a sentence, and changes nothing.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"
#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

constexpr onepass_setting kRate{"lr", 0.5, nullptr};

/// The arguments of onepass_create(), which are valid until a test changes some.
struct Arguments {
  Model model;
  std::vector<onepass_parameter> tensors = model.tensors();
  std::vector<onepass_setting> settings{kRate};
  std::vector<onepass_group> groups{group_of("Adam", settings)};
  std::int64_t group_count = 1, tensor_count = 4;
  std::int32_t device = ONEPASS_CPU;
  onepass_options options{.size = sizeof options};
  onepass_storage storage{.size = sizeof storage};

  /// Returns the error; "" if an optimizer was created.
  std::string refusal() {
    // Not null, so that the test shows that a failure sets it to null.
    auto* made = reinterpret_cast<onepass_optimizer*>(this);
    const int status =
        onepass_create(groups.empty() ? nullptr : groups.data(), group_count,
                       tensors.empty() ? nullptr : tensors.data(), tensor_count, device, &options, &made);
    if (status == ONEPASS_OK) {
      onepass_destroy(made);
      return "";
    }
    EXPECT_EQ(status, ONEPASS_INVALID_ARGUMENT);
    EXPECT_EQ(made, nullptr);
    return onepass_last_error();
  }
};

std::string names_of_rules() {
  std::string names;
  for (const Rule& rule : library_rules()) names += (names.empty() ? "" : ", ") + std::string(rule.name());
  return names;
}

std::string names_of_hyperparameters(const Rule& rule) {
  std::string names;
  for (const Hyperparameter& one : rule.hyperparameters()) {
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  return names;
}

template <class Change>
std::string refusal_after(const Change& change) {
  Arguments arguments;
  change(arguments);
  return arguments.refusal();
}

TEST(CErrors, ValidArgumentsAreAccepted) {
  EXPECT_EQ(refusal_after([](Arguments&) {}), "");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0] = group_of("Adam"); }), "");
}

TEST(CErrors, CreateRefusesNullPointersAndNegativeCounts) {
  Arguments a;
  EXPECT_EQ(refusal(onepass_create(a.groups.data(), 1, a.tensors.data(), 4, ONEPASS_CPU, nullptr, nullptr)),
            "onepass: optimizer is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups.clear(); }), "onepass: groups is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors.clear(); }), "onepass: parameters is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors.clear(), a.tensor_count = 0; }),
            "onepass: Optimizer: there are no parameters");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0].rule = nullptr; }),
            "onepass: the name of a rule is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0].settings = nullptr; }), "onepass: settings is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.settings[0].name = nullptr; }),
            "onepass: the name of a setting is null");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.group_count = -1; }),
            "onepass: group_count is -1; it must be 0 or more");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.group_count = 0; }), "onepass: Optimizer: no rule was given");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensor_count = -2; }),
            "onepass: parameter_count is -2; it must be 0 or more");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0].setting_count = -3; }),
            "onepass: setting_count is -3; it must be 0 or more");
}

TEST(CErrors, CreateRefusesUnknownNamesAndValuesOutOfRange) {
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0].rule = "adam"; }),
            "onepass: there is no rule \"adam\"; the rules are: " + names_of_rules());
  EXPECT_EQ(refusal_after([](Arguments& a) { a.settings[0].name = "beta3"; }),
            "onepass: Adam has no hyperparameter \"beta3\"; it has: " + names_of_hyperparameters(Adam{}));
  EXPECT_EQ(refusal_after([](Arguments& a) { a.settings[0].value = -1.0; }),
            "onepass: Adam.lr must be at least 0 and finite in float32, but is -1");
  EXPECT_EQ(
      refusal_after([](Arguments& a) { a.settings[0].value = std::numeric_limits<double>::quiet_NaN(); }),
      "onepass: Adam.lr must be at least 0 and finite in float32, but is nan");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.settings[0].text = "fast"; }),
            "onepass: Adam.lr must be a number, but is \"fast\"");
  EXPECT_EQ(refusal_after([](Arguments& a) {
              a.settings[0] = {"amsgrad", 2.0, nullptr};
            }),
            "onepass: Adam.amsgrad must be 0 or 1, but is 2");
  EXPECT_EQ(refusal_after([](Arguments& a) {
              a.settings[0] = {"l1_mode", 2.0, nullptr};
            }),
            "onepass: Adam.l1_mode must be the index of one of proximal, subgradient, but is 2");
  EXPECT_EQ(refusal_after([](Arguments& a) {
              a.settings[0] = {"l1_mode", 0.0, "soft"};
            }),
            "onepass: Adam.l1_mode must be one of proximal, subgradient, but is \"soft\"");
  EXPECT_EQ(refusal_after([](Arguments& a) {
              a.settings[0] = {"nesterov", 1.0, nullptr};
              a.groups[0].rule = "SGD";
            }),
            "onepass: SGD: nesterov needs a momentum above 0 and a dampening of 0");
}

TEST(CErrors, CreateNamesTheGroupIfThereAreSeveral) {
  const auto with_two = [](Arguments& a, onepass_group second) {
    a.groups.push_back(second);
    a.group_count = 2;
  };
  EXPECT_EQ(refusal_after([&](Arguments& a) { with_two(a, group_of("adam")); }),
            "onepass: there is no rule \"adam\"; the rules are: " + names_of_rules() + " (group 1)");
  const std::vector<onepass_setting> wrong{{"lr", -1.0, nullptr}}, contradicting{{"nesterov", 0.0, "true"}};
  EXPECT_EQ(refusal_after([&](Arguments& a) { with_two(a, group_of("SGD", wrong)); }),
            "onepass: SGD.lr must be at least 0 and finite in float32, but is -1 (group 1)");
  EXPECT_EQ(refusal_after([&](Arguments& a) { with_two(a, group_of("SGD", contradicting)); }),
            "onepass: SGD: nesterov needs a momentum above 0 and a dampening of 0 (group 1)");
}

TEST(CErrors, CreateRefusesTensorsThatItCannotUse) {
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[2].group = -1; }),
            "onepass: group is -1; it must be 0 or more");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[2].group = 1; }),
            "onepass: Optimizer: \"tensor 2\" is in group 1, but there are rules for 1 group");
  const std::string dtypes = "it must be from 0 (float32) to 6 (float64)";
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[1].dtype = 7; }), "onepass: a dtype is 7; " + dtypes);
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[1].grad_dtype = -1; }),
            "onepass: a dtype is -1; " + dtypes);
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[1].value = nullptr; }),
            "onepass: Optimizer: value of \"tensor 1\" is null, but has 40 elements");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.tensors[1] = a.tensors[0]; }),
            "onepass: Optimizer: value of \"tensor 0\" and value of \"tensor 1\" overlap in memory");
}

TEST(CErrors, CreateRefusesDevicesAndOptionsThatDoNotExist) {
  EXPECT_EQ(refusal_after([](Arguments& a) { a.device = -2; }),
            "onepass: device is -2; it must be -1 (the CPU) or the number of a CUDA device");
  EXPECT_NE(refusal_after([](Arguments& a) { a.device = 99; }).find("cuda:99"), std::string::npos);
  EXPECT_EQ(refusal_after([](Arguments& a) { a.options.threads = -1; }),
            "onepass: threads is -1; it must be 0 or more");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.options.storage = &a.storage, a.storage.master = 4; }),
            "onepass: master is 4; it must be from 0 (none) to 3 (remainder8)");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.options.storage = &a.storage, a.storage.states = 3; }),
            "onepass: states is 3; it must be 0 (float32), 1 (bfloat16) or 2 (8 bits)");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.options.storage = &a.storage, a.storage.rounding = -1; }),
            "onepass: rounding is -1; it must be 0 (nearest) or 1 (stochastic)");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.options.pool = 3; }),
            "onepass: pool is 3; it must be 0 (best), 1 (own) or 2 (openmp)");
}

TEST(CErrors, ListsRefuseUnknownRulesIndicesAndNullPointers) {
  const std::int32_t rules = onepass_rule_count();
  for (const std::int32_t index : {-1, rules}) {
    EXPECT_EQ(onepass_rule_name(index), nullptr);
    EXPECT_EQ(onepass_last_error(), "onepass: a rule's index is " + std::to_string(index) +
                                        "; it must be from 0 to " + std::to_string(rules - 1));
  }
  const std::string no_rule = "onepass: there is no rule \"Lion King\"; the rules are: " + names_of_rules();
  std::int32_t count = 7;
  EXPECT_EQ(refusal(onepass_hyperparameter_count("Lion King", &count)), no_rule);
  EXPECT_EQ(refusal(onepass_hyperparameter_count(nullptr, &count)), "onepass: the name of a rule is null");
  EXPECT_EQ(refusal(onepass_hyperparameter_count("Adam", nullptr)), "onepass: count is null");
  EXPECT_EQ(count, 7);

  onepass_hyperparameter_info info{.size = sizeof info};
  EXPECT_EQ(refusal(onepass_hyperparameter("Lion King", 0, &info)), no_rule);
  EXPECT_EQ(refusal(onepass_hyperparameter(nullptr, 0, &info)), "onepass: the name of a rule is null");
  EXPECT_EQ(refusal(onepass_hyperparameter("Adam", 0, nullptr)), "onepass: info is null");
  const auto last = std::to_string(Rule(Adam{}).hyperparameters().size() - 1);
  for (const std::int32_t index : {-1, 1000}) {
    EXPECT_EQ(
        refusal(onepass_hyperparameter("Adam", index, &info)),
        "onepass: a hyperparameter's index is " + std::to_string(index) + "; it must be from 0 to " + last);
  }
  EXPECT_EQ(info.name, nullptr);
}

TEST(CErrors, PresetsThatDoNotExistAreRefusedWithThoseThatDo) {
  std::int32_t count = 7;
  EXPECT_EQ(
      refusal(onepass_preset_count("Lion King", &count)).find("onepass: there is no rule \"Lion King\""), 0u);
  EXPECT_EQ(refusal(onepass_preset_count(nullptr, &count)), "onepass: the name of a rule is null");
  EXPECT_EQ(refusal(onepass_preset_count("Lion", nullptr)), "onepass: count is null");
  EXPECT_EQ(refusal(onepass_hyperparameter_count("Lion.King", &count)),
            "onepass: Lion has no preset \"King\"; it has these: optax");
  EXPECT_EQ(count, 7);

  onepass_preset_info info{.size = sizeof info};
  EXPECT_EQ(refusal(onepass_preset("Lion", 0, nullptr)), "onepass: info is null");
  EXPECT_EQ(refusal(onepass_preset("Lion", 1, &info)),
            "onepass: a preset's index is 1; it must be from 0 to 0");
  EXPECT_EQ(refusal(onepass_preset("SGD", 0, &info)),
            "onepass: a preset's index is 0; it must be in a list, but the list is empty");
  EXPECT_EQ(info.name, nullptr);
  info.size = 0;
  EXPECT_NE(refusal(onepass_preset("Lion", 0, &info)), "");
  EXPECT_EQ(refusal_after([](Arguments& a) { a.groups[0].rule = "SGD.apex"; }),
            "onepass: SGD has no preset \"apex\"; it has none");
}

TEST(CErrors, SetAndGetRefuseWhatDoesNotExist) {
  Model model;
  const std::vector<onepass_parameter> tensors = model.tensors();
  const onepass_group group = group_of("Adam");
  onepass_optimizer* made = nullptr;
  ASSERT_EQ(onepass_create(&group, 1, tensors.data(), 4, ONEPASS_CPU, nullptr, &made), ONEPASS_OK);
  const Handle owner(made);
  double value = 7.0;
  const std::string unknown =
      "onepass: Adam has no hyperparameter \"beta3\"; it has: " + names_of_hyperparameters(Adam{});

  EXPECT_EQ(refusal(onepass_set(nullptr, 0, "lr", 0.5, nullptr)), "onepass: optimizer is null");
  EXPECT_EQ(refusal(onepass_set(made, 0, nullptr, 0.5, nullptr)), "onepass: name is null");
  EXPECT_EQ(refusal(onepass_set(made, -1, "lr", 0.5, nullptr)), "onepass: group is -1; it must be 0 or more");
  EXPECT_EQ(refusal(onepass_set(made, 1, "lr", 0.5, nullptr)),
            "onepass: Optimizer: there is no group 1, but only 1");
  EXPECT_EQ(refusal(onepass_set(made, 0, "beta3", 0.5, nullptr)), unknown);
  EXPECT_EQ(refusal(onepass_set(made, 0, "lr", -0.5, nullptr)),
            "onepass: Adam.lr must be at least 0 and finite in float32, but is -0.5");
  EXPECT_EQ(refusal(onepass_set(made, 0, "amsgrad", 1.0, nullptr)),
            "onepass: Optimizer: the new hyperparameters need the state \"max_exp_avg_sq\", which was not "
            "made for group 0, which has the rule Adam");

  EXPECT_EQ(refusal(onepass_set_several(nullptr, 0, &kRate, 1, nullptr)), "onepass: optimizer is null");
  EXPECT_EQ(refusal(onepass_set_several(made, 0, nullptr, 1, nullptr)), "onepass: settings is null");
  EXPECT_EQ(refusal(onepass_set_several(made, 0, &kRate, -1, nullptr)),
            "onepass: setting_count is -1; it must be 0 or more");
  EXPECT_EQ(refusal(onepass_set_several(made, 1, &kRate, 1, nullptr)),
            "onepass: Optimizer: there is no group 1, but only 1");

  EXPECT_EQ(refusal(onepass_get(nullptr, 0, "lr", &value)), "onepass: optimizer is null");
  EXPECT_EQ(refusal(onepass_get(made, 0, nullptr, &value)), "onepass: name is null");
  EXPECT_EQ(refusal(onepass_get(made, 0, "lr", nullptr)), "onepass: value is null");
  EXPECT_EQ(refusal(onepass_get(made, -1, "lr", &value)), "onepass: group is -1; it must be 0 or more");
  EXPECT_EQ(refusal(onepass_get(made, 1, "lr", &value)),
            "onepass: Optimizer: there is no group 1, but only 1");
  EXPECT_EQ(refusal(onepass_get(made, 0, "beta3", &value)), unknown);
  EXPECT_EQ(value, 7.0);
  EXPECT_EQ(refusal(onepass_get(made, 0, "lr", &value)), "");
  EXPECT_EQ(value, Adam{}.lr);
}

TEST(CErrors, StepRefusesANullOptimizerAndDestroyAcceptsIt) {
  EXPECT_EQ(refusal(onepass_step(nullptr, nullptr)), "onepass: optimizer is null");
  onepass_destroy(nullptr);
}

}  // namespace
}  // namespace onepass::test
