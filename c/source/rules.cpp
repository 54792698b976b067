// rules.cpp - lists the rules, their presets and their hyperparameters.
#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

Rule rule_named(const char* name) {
  require(name, "the name of a rule");
  return Rule::named(name);
}

onepass_preset_info info_of(const Preset& one) {
  return {.size = sizeof(onepass_preset_info), .reserved = 0, .name = one.name, .meaning = one.meaning};
}

onepass_hyperparameter_info info_of(const Rule& rule, const Hyperparameter& one) {
  const bool is_number = one.kind == Hyperparameter::Kind::number;
  return {.size = sizeof(onepass_hyperparameter_info),
          .kind = static_cast<std::int32_t>(one.kind),
          .name = one.name,
          .meaning = one.meaning,
          .interval = is_number ? one.range.interval : "",
          .choices = one.choices.empty() ? nullptr : one.choices.data(),
          .choice_count = static_cast<std::int64_t>(one.choices.size()),
          .default_value = rule.get(one.name)};
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int32_t onepass_rule_count(void) { return static_cast<int32_t>(onepass::library_rules().size()); }

const char* onepass_rule_name(int32_t index) {
  const char* name = nullptr;
  guarded([&] {
    const auto rules = onepass::library_rules();
    name = at(rules, "a rule's index", index).name().data();
  });
  return name;
}

int onepass_preset_count(const char* rule, int32_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = static_cast<int32_t>(rule_named(rule).presets().size());
  });
}

int onepass_preset(const char* rule, int32_t index, onepass_preset_info* info) {
  return guarded([&] {
    require(info, "info");
    const onepass::Rule named = rule_named(rule);
    const auto list = named.presets();
    const onepass::Preset& one = at(list, "a preset's index", index);
    write_struct(info_of(one), info, "onepass_preset_info");
  });
}

int onepass_hyperparameter_count(const char* rule, int32_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = static_cast<int32_t>(rule_named(rule).hyperparameters().size());
  });
}

int onepass_hyperparameter(const char* rule, int32_t index, onepass_hyperparameter_info* info) {
  return guarded([&] {
    require(info, "info");
    const onepass::Rule named = rule_named(rule);
    const auto list = named.hyperparameters();
    write_struct(info_of(named, at(list, "a hyperparameter's index", index)), info,
                 "onepass_hyperparameter_info");
  });
}

}  // extern "C"
