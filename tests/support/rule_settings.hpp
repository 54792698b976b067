// rule_settings.hpp - converts between rules of the library and the settings of their references.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "onepass/rule/rule.hpp"
#include "reference/references.hpp"

namespace onepass::test {

/// Returns the library's rule of this name with these hyperparameters; the others keep their defaults.
inline Rule rule_with(std::string_view name, const reference::Settings& settings) {
  Rule rule = Rule::named(name);
  for (const auto& [hyperparameter, value] : settings.values()) {
    if (value.is_number()) {
      rule.set(hyperparameter, value.number);
    } else {
      rule.set_text(hyperparameter, value.choice);
    }
  }
  return rule;
}

/// Returns all hyperparameters of a rule.
inline reference::Settings settings_of(const Rule& rule) {
  reference::Settings settings;
  for (const Hyperparameter& one : rule.hyperparameters()) {
    if (one.kind == Hyperparameter::Kind::choice) {
      settings.set(one.name, rule.text(one.name));
    } else {
      settings.set(one.name, rule.get(one.name));
    }
  }
  return settings;
}

/// Makes the reference of a rule with the same hyperparameters. Throws std::logic_error if the reference asks
/// for a hyperparameter that the rule does not have, or does not read one that it has.
inline reference::Step reference_step(const Rule& rule) {
  const reference::Settings settings = settings_of(rule);
  reference::Step step = reference::reference_of(rule.name()).make(settings);
  for (const std::string& name : settings.unread()) {
    throw std::logic_error("the reference of " + std::string(rule.name()) + " does not read " + name);
  }
  return step;
}

}  // namespace onepass::test
