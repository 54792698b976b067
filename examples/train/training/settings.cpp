// settings.cpp - the table of settings.
#include "training/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "errors.hpp"
#include "model/initialisation.hpp"
#include "training/hyperparameters.hpp"
#include "training/optimizer.hpp"
#include "training/precision.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

/// A setting whose value is a name.
struct Named {
  std::string_view option;
  std::string what;  ///< "Activation of the hidden layers"
  std::vector<Choice> choices;
};

/// `pick(settings, i)` sets choice i; `current(settings)` returns the name of the current choice.
template <class Pick, class Current>
Setting named(Named from, Pick pick, Current current) {
  return {.option = std::string(from.option),
          .value = "NAME",
          .help = fmt::format("{}: {}", from.what, one_of(from.choices)),
          .read =
              [from, pick](Settings& settings, std::string_view text) {
                pick(settings, read_choice(from.option, text, from.choices));
              },
          .write = [current](const Settings& settings) { return std::string(current(settings)); },
          .choices = from.choices};
}

/// A setting whose value is a number, and its placeholder in --help.
struct Number {
  std::string_view option;
  std::string_view value;
  std::string help;
  bool may_change = false;
};

std::string text_of(double value) { return fmt::format("{}", value); }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
template <class T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "";
}

/// `read(option, text)` returns the new value of the field.
template <class Field, class Read>
Setting number(Number from, Field Settings::*field, Read read) {
  return {.option = std::string(from.option),
          .value = from.value,
          .help = std::move(from.help),
          .read = [option = from.option, field, read](
                      Settings& settings, std::string_view text) { settings.*field = read(option, text); },
          .write = [field](const Settings& settings) { return text_of(settings.*field); },
          .may_change = from.may_change};
}

double read_step_share(std::string_view option, std::string_view text) {
  const double share = read_positive(option, text);
  if (share > 1.0 || static_cast<float>(share) == 0.0f) {
    reject(option, "a number above 0 in float32, and at most 1", text);
  }
  return share;
}

double read_distance(std::string_view option, std::string_view text) {
  const double distance = read_nonnegative(option, text);
  if (distance > std::numeric_limits<float>::max()) reject(option, "finite in float32", text);
  return distance;
}

/// A setting whose value is a whole number of at least `low`.
template <class Field>
Setting count(Number from, Field Settings::*field, std::int64_t low) {
  return number(std::move(from), field, [low](std::string_view option, std::string_view text) {
    return read_whole(option, text, {low, kLargest});
  });
}

Setting optimizer_setting() {
  std::vector<Choice> choices;
  for (const OptimizerKind& kind : optimizer_kinds()) {
    choices.push_back({std::string(kind.name), describe(kind)});
  }
  return named(
      {"--optimizer", "Update rule", std::move(choices)},
      [](Settings& settings, std::size_t i) { settings.optimizer = optimizer_kinds()[i].name; },
      [](const Settings& settings) { return settings.optimizer; });
}

/// Returns names and meanings of a table's entries.
template <class Table>
std::vector<Choice> choices_of(const Table& table) {
  std::vector<Choice> choices;
  for (const auto& one : table) choices.push_back({std::string(one.name), std::string(one.meaning)});
  return choices;
}

Setting schedule_setting() {
  return named(
      {"--schedule", "Course of the learning rate over the run", choices_of(schedule_kinds())},
      [](Settings& settings, std::size_t i) { settings.schedule = schedule_kinds()[i].name; },
      [](const Settings& settings) { return settings.schedule; });
}

Setting init_setting() {
  return named(
      {"--init", "Distribution of the initial weights", choices_of(initialisations())},
      [](Settings& settings, std::size_t i) { settings.init = initialisations()[i].name; },
      [](const Settings& settings) { return settings.init; });
}

Setting l1_mode_setting() {
  static const std::vector<Choice> choices{
      {"proximal", "after the rule, weights shrink by lr * l1 and stop at 0"},
      {"subgradient", "l1 * sign(p) is added to the gradient; weights dither around 0"}};
  Setting setting = named(
      {"--l1-mode", "Form of the L1 penalty", choices},
      [](Settings& settings, std::size_t i) { settings.l1_mode = static_cast<onepass::L1>(i); },
      [](const Settings& settings) { return choices[static_cast<std::size_t>(settings.l1_mode)].name; });
  setting.may_change = true;
  return setting;
}

Setting clip_by_setting() {
  static const std::vector<Choice> choices{{"all", "one norm of all gradients together"},
                                           {"parameter", "the norm of each weight matrix and bias alone"}};
  Setting setting = named(
      {"--clip-by", "The norm that --clip bounds", choices},
      [](Settings& settings, std::size_t i) { settings.clips_each = i == 1; },
      [](const Settings& settings) { return choices[settings.clips_each ? 1 : 0].name; });
  setting.may_change = true;
  return setting;
}

Setting precision_setting() {
  return named(
      {"--precision", "Storage of parameters, gradients and states", choices_of(precision_kinds())},
      [](Settings& settings, std::size_t i) { settings.precision = precision_kinds()[i].name; },
      [](const Settings& settings) { return settings.precision; });
}

Setting rounding_setting() {
  static const std::vector<Choice> choices{
      {"nearest", "to nearest even; updates smaller than half a unit in the parameter's last place are lost"},
      {"stochastic", "to either neighbour at random, so that updates of any size count on average"}};
  return named(
      {"--rounding", "Rounding of the parameters with --precision bf16", choices},
      [](Settings& settings, std::size_t i) { settings.rounding = static_cast<onepass::Rounding>(i); },
      [](const Settings& settings) { return choices[static_cast<std::size_t>(settings.rounding)].name; });
}

Setting activation_setting() {
  std::vector<Choice> choices;
  for (const ActivationKind& kind : kActivations) {
    choices.push_back({std::string(kind.name), std::string(kind.formula)});
  }
  return named(
      {"--activation", "Activation of the hidden layers", std::move(choices)},
      [](Settings& settings, std::size_t i) { settings.activation = kActivations[i].activation; },
      [](const Settings& settings) {
        return std::ranges::find(kActivations, settings.activation, &ActivationKind::activation)->name;
      });
}

Setting hidden_setting() {
  return {.option = "--hidden",
          .value = "N,N,..",
          .help = "Widths of the hidden layers; 64x8 means eight layers of 64",
          .read = [](Settings& settings,
                     std::string_view text) { settings.hidden = read_widths("--hidden", text); },
          .write = [](const Settings& settings) { return write_widths(settings.hidden); }};
}

Setting batch_size_setting() {
  return {.option = "--batch-size",
          .value = "N|full",
          .help = "Images in a batch: a number from 1, or full for all images",
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
          .help = "Seed of the initial weights, the order of the images, dropout and stochastic rounding",
          .read =
              [](Settings& settings, std::string_view text) {
                constexpr Bounds kBounds{0, std::numeric_limits<std::int64_t>::max()};
                settings.seed = static_cast<std::uint64_t>(read_whole("--seed", text, kBounds));
              },
          .write = [](const Settings& settings) { return fmt::format("{}", settings.seed); }};
}

/// Returns the settings of the update.
std::vector<Setting> optimizer_settings() {
  return {
      optimizer_setting(),
      number(
          {"--lr", "RATE", "Learning rate. Default: depends on the optimizer and the images in a step", true},
          &Settings::lr, read_nonnegative),
      number({"--weight-decay", "RATE", weight_decay_help(), true}, &Settings::weight_decay,
             read_nonnegative),
      number({"--l1", "RATE", "L1 penalty on the weights", true}, &Settings::l1, read_nonnegative),
      l1_mode_setting(),
      schedule_setting(),
      count({"--schedule-steps", "N",
             "Length of the schedule in steps. Default: the steps of this run. Set it if you will resume the "
             "run"},
            &Settings::schedule_steps, 1),
      count({"--warmup", "N", "Steps over which the rate rises from 0, with any schedule"}, &Settings::warmup,
            0),
      number({"--clip", "NORM", "Largest norm of the gradients. Default: no clipping", true}, &Settings::clip,
             read_positive),
      clip_by_setting(),
      number({"--sam", "RHO",
              "Distance to which sharpness-aware minimization moves the weights uphill, for a "
              "second forward and backward pass whose gradients make the step",
              true},
             &Settings::sam, read_distance),
      number({"--asam", "RHO", "The same of adaptive SAM, which moves large weights further", true},
             &Settings::asam, read_distance),
      count({"--lookahead", "K", "Steps of the rule to each move of Lookahead's slow weights; 0: none"},
            &Settings::lookahead, 0),
      number({"--lookahead-alpha", "SHARE", "Share of the way to the weights that the slow weights move"},
             &Settings::lookahead_alpha, read_step_share),
      precision_setting(),
      rounding_setting(),
  };
}

/// Returns the settings of the network and its data.
std::vector<Setting> network_settings() {
  return {
      activation_setting(),
      hidden_setting(),
      init_setting(),
      number({"--dropout", "P", "Share of the hidden layers' outputs that a training step drops, in [0, 1)"},
             &Settings::dropout, read_share),
      batch_size_setting(),
      count({"--accumulate", "N", "Batches in a step; their gradients are averaged"}, &Settings::accumulate,
            1),
      seed_setting(),
  };
}

}  // namespace

std::span<const Setting> setting_table() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> all = optimizer_settings();
    std::ranges::move(network_settings(), std::back_inserter(all));
    std::ranges::move(hyperparameter_settings(), std::back_inserter(all));
    return all;
  }();
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
  if (settings.accumulate > (images + settings.batch_size - 1) / settings.batch_size) {
    throw UsageError(fmt::format(
        "--accumulate must not be more than the {} batches of {} that {} training images make, but is {}",
        (images + settings.batch_size - 1) / settings.batch_size, settings.batch_size, images,
        settings.accumulate));
  }
  precision_of(settings);
  sam_of(settings);
  lookahead_of(settings);
  const onepass::Rule rule = make_rule(settings);
  settings.lr = rule.get("lr");
  settings.weight_decay = rule.get("weight_decay");
  for (auto& [name, text] : settings.hyperparameters) text = rule.text(name);
  return settings;
}

std::int64_t steps_per_epoch(const Settings& settings, std::int64_t images) {
  return (images + settings.images_per_step() - 1) / settings.images_per_step();
}

}  // namespace train
