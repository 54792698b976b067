// optimizer.cpp - the table of optimizers, and the optimizer that the settings ask for.
#include "training/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "errors.hpp"
#include "onepass/error.hpp"
#include "training/hyperparameters.hpp"
#include "training/precision.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

/// A rule under a name of its own, or with other hyperparameters than its defaults.
struct Preset {
  std::string_view name;
  std::string_view title;
  std::string_view rule;
  std::vector<std::pair<std::string_view, double>> hyperparameters;
};

/// Rules without a row of their own name have the library's defaults, and their name as title.
std::vector<Preset> presets() {
  return {{"sgd", "SGD", "SGD", {{"lr", 0.05}}},
          {"momentum", "Momentum", "SGD", {{"lr", 0.02}, {"momentum", 0.9}}},
          {"nesterov", "Nesterov", "SGD", {{"lr", 0.02}, {"momentum", 0.9}, {"nesterov", true}}},
          {"rmsprop", "RMSProp", "RMSProp", {{"lr", 5e-4}}},
          {"rmsprop-centered", "RMSProp centered", "RMSProp", {{"lr", 5e-4}, {"centered", true}}},
          {"amsgrad", "AMSGrad", "Adam", {{"amsgrad", true}}}};
}

constexpr double kAsamEta = 0.01;    // as in the paper of ASAM: biases, which start at 0, move too
constexpr double kWholeStep = 64.0;  // images in a step from which the rates of the table are suitable

constexpr std::array<std::string_view, 5> kCompared{"sgd", "momentum", "rmsprop", "adam", "adamw"};

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

/// The presets of the library have the learning rates of the implementations that they are named after.
OptimizerKind kind_of(const onepass::Rule& rule, const onepass::Preset& preset) {
  const std::string title = fmt::format("{}.{}", rule.name(), preset.name);
  return {lower_case(title), title, rule.preset(preset.name), true};
}

OptimizerKind kind_of(const Preset& preset) {
  OptimizerKind kind{std::string(preset.name), std::string(preset.title), onepass::Rule::named(preset.rule)};
  for (const auto& [name, value] : preset.hyperparameters) kind.rule.set(name, value);
  return kind;
}

std::vector<OptimizerKind> all_kinds() {
  const std::vector<Preset> table = presets();
  std::vector<OptimizerKind> kinds;
  for (const onepass::Rule& rule : onepass::library_rules()) {
    const std::string name = lower_case(rule.name());
    if (std::ranges::find(table, name, &Preset::name) == table.end()) {
      kinds.push_back({name, std::string(rule.name()), rule});
    }
    for (const Preset& preset : table) {
      if (preset.rule == rule.name()) kinds.push_back(kind_of(preset));
    }
    for (const onepass::Preset& preset : rule.presets()) kinds.push_back(kind_of(rule, preset));
  }
  return kinds;
}

/// Calls `set`, and turns the library's error into a UsageError that begins with the option.
template <class Set>
void set_by(const std::string& option, Set set) {
  try {
    set();
  } catch (const onepass::InvalidArgument& error) {
    throw UsageError(fmt::format("{}: {}", option, without_prefix(error.what())));
  }
}

void set_number(onepass::Rule& rule, std::string_view name, double value) {
  set_by(option_of(name), [&] { rule.set(name, value); });
}

void set_text(onepass::Rule& rule, const OptimizerKind& kind, std::string_view name, std::string_view text) {
  if (!rule.has(name)) {
    std::vector<std::string_view> names;
    for (const onepass::Hyperparameter& one : rule.hyperparameters()) names.emplace_back(one.name);
    throw UsageError(
        fmt::format("{}: {} has no {}; it has {}", option_of(name), kind.name, name, fmt::join(names, ", ")));
  }
  set_by(option_of(name), [&] { rule.set_text(name, text); });
}

bool has_same_states(const onepass::Rule& a, const onepass::Rule& b) {
  return std::ranges::equal(a.state_names(), b.state_names(), std::equal_to<std::string_view>());
}

}  // namespace

std::span<const OptimizerKind> optimizer_kinds() {
  static const std::vector<OptimizerKind> kinds = all_kinds();
  return kinds;
}

std::span<const std::string_view> compared_kinds() { return kCompared; }

const OptimizerKind* find_kind(std::string_view name) {
  const std::span<const OptimizerKind> kinds = optimizer_kinds();
  const auto found = std::ranges::find(kinds, name, &OptimizerKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

std::string describe(const OptimizerKind& kind) {
  const onepass::Rule usual = onepass::Rule::named(kind.rule.name());
  std::string text = fmt::format("{}, lr {:g}", kind.title, kind.rule.get("lr"));
  for (const onepass::Hyperparameter& one : kind.rule.hyperparameters()) {
    const std::string_view name = one.name;
    const bool is_changed = name != "lr" && kind.rule.get(name) != usual.get(name);
    if (is_changed || (name == "weight_decay" && kind.rule.get(name) > 0.0)) {
      text += fmt::format(", {} {}", written(name, ' '), kind.rule.text(name));
    }
  }
  return text;
}

onepass::Rule make_rule(const Settings& settings) {
  const OptimizerKind* kind = find_kind(settings.optimizer);
  if (kind == nullptr) throw UsageError(fmt::format("there is no optimizer '{}'", settings.optimizer));
  onepass::Rule rule = kind->rule;
  const double share = std::min(1.0, static_cast<double>(settings.images_per_step()) / kWholeStep);
  // SGD's step is proportional to the gradient; the other rules divide by the gradient's size, or by part of
  // it.
  const double scale = rule.name() == "SGD" ? share : std::sqrt(share);
  set_number(rule, "lr", settings.lr.value_or(scale * rule.get("lr")));
  if (settings.weight_decay) set_number(rule, "weight_decay", *settings.weight_decay);
  set_number(rule, "l1", settings.l1);
  set_number(rule, "l1_mode", static_cast<double>(settings.l1_mode));
  for (const auto& [name, text] : settings.hyperparameters) set_text(rule, *kind, name, text);
  set_by("--optimizer " + kind->name, [&] { rule.check(); });
  return rule;
}

onepass::Optimizer make_optimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
                                  const onepass::Options& options, onepass::Stream stream) {
  onepass::Options own = options;
  own.accumulates_gradients = settings.accumulate > 1;
  own.storage = storage_of(settings);
  own.seed = settings.seed;
  own.lookahead = lookahead_of(settings);
  onepass::Optimizer optimizer{make_rule(settings), parameters, own};
  optimizer.set_schedule(make_schedule(settings));
  if (settings.clip) {
    optimizer.clip_grad_norm({.max_norm = *settings.clip, .per_parameter = settings.clips_each}, stream);
  }
  return optimizer;
}

std::optional<onepass::Sam> sam_of(const Settings& settings) {
  if (settings.sam > 0.0 && settings.asam > 0.0) {
    throw UsageError(fmt::format(
        "--sam {} and --asam {} both move the weights for the second pass; at most one may be above 0",
        settings.sam, settings.asam));
  }
  if (settings.sam > 0.0) return onepass::Sam{.rho = settings.sam};
  if (settings.asam > 0.0) return onepass::Sam{.rho = settings.asam, .adaptive = true, .eta = kAsamEta};
  return {};
}

std::optional<onepass::Lookahead> lookahead_of(const Settings& settings) {
  if (settings.lookahead == 0) return {};
  const PrecisionKind& kind = precision_of(settings);
  if (kind.dtype != onepass::DType::float32 && kind.master != onepass::Master::float32 &&
      kind.master != onepass::Master::split) {
    throw UsageError(
        fmt::format("--lookahead needs --precision f32, bf16-master or bf16-split, which keep "
                    "weights in float32, but --precision is {}",
                    settings.precision));
  }
  return onepass::Lookahead{.k = settings.lookahead, .alpha = settings.lookahead_alpha};
}

void require_same_states(const Settings& saved, const Settings& asked) {
  const onepass::Rule before = make_rule(saved);
  const onepass::Rule after = make_rule(asked);
  for (const onepass::Hyperparameter& one : before.hyperparameters()) {
    onepass::Rule changed = before;
    changed.set(one.name, after.get(one.name));
    if (has_same_states(before, changed)) continue;
    throw UsageError(fmt::format("the saved run had {} {}, but this one has {}, which needs other states",
                                 option_of(one.name), before.text(one.name), after.text(one.name)));
  }
}

void change_hyperparameters(onepass::Optimizer& optimizer, const Settings& saved, const Settings& asked,
                            onepass::Stream stream) {
  const onepass::Rule before = make_rule(saved);
  const onepass::Rule after = make_rule(asked);
  if (before == after) return;
  onepass::Rule rule = optimizer.rule();
  for (const onepass::Hyperparameter& one : rule.hyperparameters()) {
    if (before.get(one.name) != after.get(one.name)) rule.set(one.name, after.get(one.name));
  }
  optimizer.set_rule(rule, 0, stream);
  optimizer.set_schedule(make_schedule(asked));  // the rates of one-cycle do not scale with the base rate
}

}  // namespace train
