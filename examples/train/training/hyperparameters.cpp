// hyperparameters.cpp - options from the list of hyperparameters that each rule has
// (onepass::Hyperparameter).
#include "training/hyperparameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

#include "training/optimizer.hpp"

namespace train {
namespace {

using onepass::Hyperparameter;
using Kind = Hyperparameter::Kind;

constexpr std::string_view kHeading = "Hyperparameters, for the optimizers that have them";
/// Hyperparameters that have the name of another option of the trainer: clipping of gradients, and the images
/// of a batch. Their options begin with --rule.
constexpr std::array<std::string_view, 2> kTaken{"clip", "batch_size"};

/// Hyperparameters whose options are rows of settings.cpp.
constexpr std::array<std::string_view, 4> kOwnFields{"lr", "weight_decay", "l1", "l1_mode"};

/// A text, and the names that it belongs to.
struct Shared {
  std::string text;
  std::vector<std::string> names;
};

/// Adds a name to the entry with this text, and the entry if there is none yet.
void add(std::vector<Shared>& entries, const std::string& text, std::string_view name) {
  auto entry = std::ranges::find(entries, text, &Shared::text);
  if (entry == entries.end()) entry = entries.insert(entry, {text, {}});
  entry->names.emplace_back(name);
}

const Hyperparameter* find(const onepass::Rule& rule, std::string_view name) {
  const auto found = std::ranges::find(rule.hyperparameters(), name, &Hyperparameter::name);
  return found == rule.hyperparameters().end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const Hyperparameter& one) {
  return {one.choices.begin(), one.choices.end()};
}

/// Returns the meaning and the possible values.
std::string explain(const Hyperparameter& one) {
  if (one.kind == Kind::number) return fmt::format("{} Range: {}.", one.meaning, one.range.interval);
  if (one.kind == Kind::choice)
    return fmt::format("{} Choices: {}.", one.meaning, listed(names_of(one), "or"));
  return one.meaning;
}

/// Returns the meanings of a hyperparameter. If rules differ, each meaning begins with the names of its
/// rules.
std::string meanings_of(std::string_view name) {
  std::vector<Shared> meanings;
  for (const onepass::Rule& rule : onepass::library_rules()) {
    if (const Hyperparameter* const one = find(rule, name)) add(meanings, explain(*one), rule.name());
  }
  if (meanings.size() == 1) return meanings.front().text;
  std::vector<std::string> parts;
  for (const Shared& one : meanings)
    parts.push_back(fmt::format("{}: {}", listed(one.names, "and"), one.text));
  return fmt::format("{}", fmt::join(parts, " "));
}

/// Returns the optimizers without the library's presets, whose settings --list shows.
auto own_kinds() {
  return optimizer_kinds() |
         std::views::filter([](const OptimizerKind& kind) { return !kind.is_preset_of_library; });
}

/// Returns the default of each optimizer: "0.01 for adamw, 0 for the others" if all have the hyperparameter,
/// and otherwise the names of all that have it.
std::string defaults_of(std::string_view name) {
  std::vector<Shared> defaults;
  bool all_have_it = true;
  for (const OptimizerKind& kind : own_kinds()) {
    if (kind.rule.has(name)) {
      add(defaults, kind.rule.text(name), kind.name);
    } else {
      all_have_it = false;
    }
  }
  if (all_have_it && defaults.size() == 1) return defaults.front().text;
  if (all_have_it) {
    const auto most =
        std::ranges::max_element(defaults, {}, [](const Shared& one) { return one.names.size(); });
    most->names = {"the others"};
    std::rotate(most, most + 1, defaults.end());
  }
  std::vector<std::string> parts;
  for (const Shared& one : defaults)
    parts.push_back(fmt::format("{} for {}", one.text, listed(one.names, "and")));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string_view placeholder(Kind kind) {
  return kind == Kind::number ? "NUMBER" : kind == Kind::flag ? "true|false" : "NAME";
}

/// The value is kept as text, and make_rule() reads it: its range depends on the rule.
Setting setting_of(const Hyperparameter& one) {
  const std::string name = one.name;
  Setting setting{
      .option = option_of(name),
      .value = placeholder(one.kind),
      .help = fmt::format("{} Default: {}", meanings_of(name), defaults_of(name)),
      .read = [name](Settings& settings, std::string_view text) { settings.hyperparameters[name] = text; },
      .write =
          [name](const Settings& settings) {
            const auto given = settings.hyperparameters.find(name);
            return given == settings.hyperparameters.end() ? std::string() : given->second;
          },
      .choices = {},
      .may_change = true,
      .heading = kHeading};
  for (const char* choice : one.choices) setting.choices.push_back({choice, ""});
  return setting;
}

}  // namespace

std::string written(std::string_view hyperparameter, char separator) {
  std::string text(hyperparameter);
  std::ranges::replace(text, '_', separator);
  return text;
}

std::string option_of(std::string_view hyperparameter) {
  const bool is_taken = std::ranges::find(kTaken, hyperparameter) != kTaken.end();
  return (is_taken ? "--rule-" : "--") + written(hyperparameter, '-');
}

std::vector<Setting> hyperparameter_settings() {
  std::vector<Setting> settings;
  for (const onepass::Rule& rule : onepass::library_rules()) {
    for (const Hyperparameter& one : rule.hyperparameters()) {
      const bool has_own_field = std::ranges::find(kOwnFields, one.name) != kOwnFields.end();
      const bool is_known =
          std::ranges::find(settings, option_of(one.name), &Setting::option) != settings.end();
      if (!has_own_field && !is_known) settings.push_back(setting_of(one));
    }
  }
  return settings;
}

std::string weight_decay_help() {
  std::vector<std::string> decoupled;
  for (const OptimizerKind& kind : own_kinds()) {
    if (kind.rule.text("weight_decay_mode") == "decoupled") decoupled.push_back(kind.name);
  }
  return fmt::format("Weight decay, decoupled for {}, added to the gradient (L2) for the others. Default: {}",
                     listed(decoupled, "and"), defaults_of("weight_decay"));
}

}  // namespace train
