// settings.cpp - the table of settings.
#include "training/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "errors.hpp"
#include "training/optimizer.hpp"

namespace train {
namespace {

std::string text_of(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

/// A setting whose value is one of some names.
struct Named {
  std::string_view option;
  std::string what;  ///< "What stands behind each hidden layer"
  std::vector<Choice> choices;
};

/// `pick(settings, i)` takes choice i, `current(settings)` tells its name.
template <class Pick, class Current>
Setting named(Named from, Pick pick, Current current) {
  return {.option = from.option,
          .value = "NAME",
          .help = fmt::format("{}: {}", from.what, one_of(from.choices)),
          .read =
              [from, pick](Settings& settings, std::string_view text) {
                pick(settings, read_choice(from.option, text, from.choices));
              },
          .write = [current](const Settings& settings) { return std::string(current(settings)); },
          .choices = from.choices};
}

/// A number that is not negative, and may change when a run goes on.
Setting rate_setting(std::string_view option, std::string help, std::optional<double> Settings::*field) {
  return {
      .option = option,
      .value = "RATE",
      .help = std::move(help),
      .read = [option, field](Settings& settings,
                              std::string_view text) { settings.*field = read_nonnegative(option, text); },
      .write = [field](const Settings& settings) { return text_of(settings.*field); },
      .may_change = true};
}

Setting optimizer_setting() {
  std::vector<Choice> choices;
  for (const OptimizerKind& kind : optimizer_kinds()) {
    choices.push_back({std::string(kind.name), describe(kind)});
  }
  return named(
      {"--optimizer", "The rule of the update", std::move(choices)},
      [](Settings& settings, std::size_t i) { settings.optimizer = optimizer_kinds()[i].name; },
      [](const Settings& settings) { return settings.optimizer; });
}

Setting activation_setting() {
  std::vector<Choice> choices;
  for (const ActivationKind& kind : kActivations) {
    choices.push_back({std::string(kind.name), std::string(kind.formula)});
  }
  return named(
      {"--activation", "What stands behind each hidden layer", std::move(choices)},
      [](Settings& settings, std::size_t i) { settings.activation = kActivations[i].activation; },
      [](const Settings& settings) {
        return std::ranges::find(kActivations, settings.activation, &ActivationKind::activation)->name;
      });
}

Setting hidden_setting() {
  return {.option = "--hidden",
          .value = "N,N,..",
          .help = "Widths of the hidden layers; 64x8 are eight of 64",
          .read = [](Settings& settings,
                     std::string_view text) { settings.hidden = read_widths("--hidden", text); },
          .write = [](const Settings& settings) { return write_widths(settings.hidden); }};
}

Setting batch_size_setting() {
  return {.option = "--batch-size",
          .value = "N|full",
          .help = "Images in a step: 1, any number, or full",
          .read =
              [](Settings& settings, std::string_view text) {
                const std::optional<std::int64_t> count = whole_number(text, {});
                if (text != "full" && !count) reject("--batch-size", "'full' or a whole number from 1", text);
                settings.batch_size = count.value_or(0);
              },
          .write =
              [](const Settings& settings) {
                return settings.batch_size == 0 ? "full" : fmt::format("{}", settings.batch_size);
              }};
}

Setting seed_setting() {
  return {.option = "--seed",
          .value = "N",
          .help = "Of the first weights and of the order of the images",
          .read =
              [](Settings& settings, std::string_view text) {
                constexpr Bounds kBounds{0, std::numeric_limits<std::int64_t>::max()};
                settings.seed = static_cast<std::uint64_t>(read_whole("--seed", text, kBounds));
              },
          .write = [](const Settings& settings) { return fmt::format("{}", settings.seed); }};
}

}  // namespace

std::span<const Setting> setting_table() {
  static const std::vector<Setting> table{
      optimizer_setting(),
      rate_setting("--lr", "Learning rate. Default: one that suits the optimizer and the batch size",
                   &Settings::lr),
      rate_setting(
          "--weight-decay",
          "Decay of the weights, decoupled for adamw, in the gradient (L2) for the others. Default: 0.01 for "
          "adamw, 0 for the others",
          &Settings::weight_decay),
      activation_setting(),
      hidden_setting(),
      batch_size_setting(),
      seed_setting(),
  };
  return table;
}

const Setting* find_setting(std::string_view option) {
  const std::span<const Setting> table = setting_table();
  const auto found = std::ranges::find(table, option, &Setting::option);
  return found == table.end() ? nullptr : &*found;
}

Changes all_settings(const Settings& settings) {
  Changes all;
  for (const Setting& setting : setting_table()) {
    std::string text = setting.write(settings);
    if (!text.empty()) all.push_back({&setting, std::move(text)});
  }
  return all;
}

void apply(const Changes& changes, Settings& settings) {
  for (const Change& change : changes) change.setting->read(settings, change.text);
}

Settings resolve(Settings settings, std::int64_t images) {
  if (settings.batch_size == 0) settings.batch_size = images;
  if (settings.batch_size < 1 || settings.batch_size > images) {
    throw UsageError(
        fmt::format("--batch-size must be 'full' or a number from 1 to {}, as many as there are "
                    "training images, but is {}",
                    images, settings.batch_size));
  }
  const AnyRule rule = make_rule(settings);
  settings.lr = lr_of(rule);
  settings.weight_decay = weight_decay_of(rule);
  return settings;
}

}  // namespace train
