// state_dict.cpp - the functions of Optimizer that read its states and write them back.
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "host/optimizer/memory/given_streams.hpp"
#include "host/optimizer/optimizer.hpp"

namespace onepass {
namespace {

std::vector<const char*> names_of(std::span<const StreamSpec> specs) {
  std::vector<const char*> names;
  for (const StreamSpec& spec : specs) names.push_back(spec.name);
  return names;
}

/// Returns whether the dict was saved before state dicts had groups.
bool is_old(const StateDict& dict) { return dict.groups.empty() && !dict.rule.empty(); }

/// Returns whether any variant of a rule has a state of this name.
bool has_state(const RuleOps& ops, std::string_view name) {
  return std::ranges::any_of(ops.variants, [&](const VariantOps& variant) {
    return std::ranges::find(variant.states, name) != variant.states.end();
  });
}

/// Returns whether a group can take the states that it has from an old dict in which its parameters have
/// more: all groups of an optimizer had the states that any of them needed. It cannot if the optimizer had
/// one group, or if its format stored other numbers than the states because of those that are left out.
bool takes_fewer(const StateDict& dict, const SavedParameter& saved, const Group& group,
                 std::span<const StreamSpec> specs) {
  if (!is_old(dict) || dict.lrs.size() < 2) return false;
  const RuleOps& ops = group.rule.ops();
  std::vector<std::string_view> names;
  for (const SavedState& state : saved.states) {
    if (has_state(ops, state.name)) names.push_back(state.name);
  }
  const auto variant = std::ranges::find_if(
      ops.variants, [&](const VariantOps& one) { return std::ranges::equal(one.states, names); });
  if (variant == ops.variants.end()) return false;
  const bool is_lossy = std::ranges::any_of(specs, [](const StreamSpec& spec) {
    return spec.role == StreamRole::state && spec.dtype != DType::float32;
  });
  return !is_lossy || (variant->compress == nullptr) == (group.variant_ops().compress == nullptr);
}

/// Returns the saved states of a parameter of `group`, without those that it does not keep if takes_fewer().
std::vector<const SavedState*> kept_states(const StateDict& dict, const SavedParameter& saved,
                                           const Group& group, std::span<const StreamSpec> specs) {
  std::vector<const SavedState*> kept;
  const bool fewer = takes_fewer(dict, saved, group, specs);
  for (const SavedState& state : saved.states) {
    const bool is_used = std::ranges::any_of(
        specs, [&](const StreamSpec& spec) { return std::string_view(spec.name) == state.name; });
    if (is_used || !fewer || !has_state(group.rule.ops(), state.name)) kept.push_back(&state);
  }
  return kept;
}

/// Sets the hyperparameters of a rule to those of a saved group.
void restore(Rule& rule, const SavedGroup& saved, std::size_t group) {
  if (saved.rule != rule.name()) {
    refuse("group " + std::to_string(group) + " of the state dict has the rule " + quoted(saved.rule) +
           ", but this optimizer's has " + std::string(rule.name()));
  }
  for (const SavedHyperparameter& one : saved.hyperparameters) rule.set_text(one.name, one.value);
}

/// Returns the rule of each group with the hyperparameters that the dict has.
std::vector<Rule> restored_rules(const StateDict& dict, const Groups& groups) {
  std::vector<Rule> rules = groups.rules();
  for (std::size_t group = 0; group < rules.size(); ++group) {
    if (!dict.groups.empty()) {
      restore(rules[group], dict.groups[group], group);
    } else if (is_old(dict)) {
      restore(rules[group], {.rule = dict.rule, .hyperparameters = {}}, group);
      if (!dict.lrs.empty()) rules[group].set("lr", dict.lrs[group]);
    }
  }
  groups.check_change(rules);
  return rules;
}

/// Checks a state dict against the optimizer that is to load it.
class DictCheck {
 public:
  DictCheck(const Optimizer::Impl& core, const LoadOptions& options) : core_(core), options_(options) {}

  /// Returns the names that only one side has. `micro_batches`: those that the optimizer has accumulated.
  [[nodiscard]] LoadedDict check(const StateDict& dict, std::int64_t micro_batches) const {
    check_counts(dict);
    check_groups(dict);
    const LoadedDict loaded = check_names(dict);
    for (const SavedParameter& saved : dict.parameters) {
      const auto known = core_.roster.index_by_name.find(saved.name);
      if (known != core_.roster.index_by_name.end()) check_parameter(dict, saved, known->second);
    }
    if (!loaded.missing.empty() && dict.micro_batches != micro_batches) {
      refuse("the state dict counts " + std::to_string(dict.micro_batches) + " micro-batches, but " +
             quoted(loaded.missing.front()) + ", which it lacks, is to keep the sum of " +
             std::to_string(micro_batches) + "; load a part of a model between steps");
    }
    return loaded;
  }

 private:
  [[nodiscard]] LoadedDict check_names(const StateDict& dict) const {
    LoadedDict loaded;
    std::unordered_set<std::string_view> seen;
    for (const SavedParameter& saved : dict.parameters) {
      if (!seen.insert(saved.name).second) refuse("the state dict has " + quoted(saved.name) + " twice");
      if (core_.roster.index_by_name.contains(saved.name)) continue;
      if (options_.unexpected == Unexpected::refuse) {
        refuse("the state dict has " + quoted(saved.name) + ", but this optimizer has no such parameter");
      }
      loaded.unexpected.push_back(saved.name);
    }
    for (const Parameter& parameter : core_.roster.parameters) {
      if (seen.contains(parameter.name)) continue;
      if (options_.missing == Missing::refuse) refuse("the state dict lacks " + quoted(parameter.name));
      loaded.missing.push_back(parameter.name);
    }
    return loaded;
  }

  void require_count(std::int64_t count, const std::string& what) const {
    if (count >= 0 && count <= schedule::kMostSteps) return;
    refuse("the state dict counts " + std::to_string(count) + " " + what + ", but a count lies in [0, 2^53]");
  }

  void check_counts(const StateDict& dict) const {
    require_count(dict.steps, "steps");
    require_count(dict.skipped_steps, "skipped steps");
    require_count(dict.micro_batches, "micro-batches");
    require_count(dict.dropped_micro_batches, "dropped micro-batches");
    require_count(dict.dropped_since_step, "micro-batches dropped since the last step");
    require_count(dict.growth_tracker, "steps since the loss scale changed");
    if (dict.micro_batches > 0 && !core_.accumulates) {
      refuse(
          "the state dict has accumulated gradients, but this optimizer was made without "
          "Options::accumulates_gradients");
    }
    const double weight = dict.accumulated_weight;
    if (!(std::isfinite(weight) && weight >= 0) || (dict.micro_batches == 0 && weight > 0)) {
      refuse("the state dict has the weight " + number(weight) + " of " + std::to_string(dict.micro_batches) +
             " micro-batches");
    }
    if (!(std::isfinite(dict.window_scale) && dict.window_scale >= 0)) {
      refuse("the state dict has gradients of the loss scale " + number(dict.window_scale));
    }
    if (dict.loss_scale != 0 && !is_loss_scale(dict.loss_scale)) {
      refuse("the state dict has the loss scale " + number(dict.loss_scale) +
             ", but it must be above 0 and finite and have an inverse that is finite in float32, or be 0 for "
             "none");
    }
  }

  void check_groups(const StateDict& dict) const {
    for (const std::size_t groups : {dict.groups.size(), dict.lrs.size(), dict.schedules.size()}) {
      if (groups == 0 || groups == core_.groups.count()) continue;
      refuse("the state dict has " + std::to_string(groups) + " groups, but this optimizer has " +
             std::to_string(core_.groups.count()));
    }
  }

  void check_gradient_sum(const SavedParameter& saved, const Parameter& parameter) const {
    require_count(saved.accumulated, "micro-batches of " + quoted(saved.name));
    const auto wanted =
        saved.accumulated == 0 ? 0 : static_cast<std::size_t>(parameter.value.numel) * sizeof(float);
    if (saved.gradient_sum.size() == wanted && (saved.accumulated == 0 || core_.accumulates)) return;
    refuse("the gradient sum of " + quoted(saved.name) + " has " + std::to_string(saved.gradient_sum.size()) +
           " bytes in the state dict, but " + std::to_string(core_.accumulates ? wanted : 0) + " here");
  }

  void check_parameter(const StateDict& dict, const SavedParameter& saved, std::size_t index) const {
    const Parameter& parameter = core_.roster.parameters[index];
    const std::vector<StreamSpec> specs = core_.specs_of(index);
    const std::vector<const SavedState*> states =
        kept_states(dict, saved, core_.groups.all[parameter.group], specs);
    require_count(saved.step, "steps of " + quoted(saved.name));
    const GivenStream* const counter = given_stream(parameter, kCounter);
    if (counter != nullptr && counter->tensor.dtype == DType::float32 &&
        saved.step >= step::kMostFloat32Steps) {
      refuse("the state dict counts " + std::to_string(saved.step) + " steps of " + quoted(saved.name) +
             ", but its float32 counter can count no further than 2^24; give an int64");
    }
    if (saved.accumulated > dict.micro_batches) {
      refuse("the state dict counts " + std::to_string(saved.accumulated) + " micro-batches of " +
             quoted(saved.name) + ", but " + std::to_string(dict.micro_batches) + " in all");
    }
    check_gradient_sum(saved, parameter);
    const bool same = std::ranges::equal(states, specs, [](const SavedState* state, const StreamSpec& spec) {
      return state->name == spec.name;
    });
    if (!same) {
      std::vector<const char*> given;
      for (const SavedState* state : states) given.push_back(state->name.c_str());
      refuse("the state dict has the states " + listed(given) + " for " + quoted(saved.name) +
             ", but this optimizer's are " + listed(names_of(specs)));
    }
    for (std::size_t s = 0; s < specs.size(); ++s) {
      const SavedState& state = *states[s];
      const std::size_t wanted = specs[s].bytes(Shard::of(parameter));
      if (state.dtype == specs[s].dtype && state.bytes.size() == wanted) continue;
      refuse(state.name + " of " + quoted(saved.name) + " has " + std::to_string(state.bytes.size()) +
             " bytes of " + to_string(state.dtype) + " in the state dict, but " + std::to_string(wanted) +
             " of " + to_string(specs[s].dtype) + " here");
    }
  }

  const Optimizer::Impl& core_;
  const LoadOptions options_;
};

}  // namespace

namespace {

SavedGroup saved_group(const Rule& rule) {
  SavedGroup saved{.rule = std::string(rule.name()), .hyperparameters = {}};
  for (const Hyperparameter& one : rule.hyperparameters()) {
    saved.hyperparameters.push_back({one.name, rule.text(one.name)});
  }
  return saved;
}

}  // namespace

StateDict Optimizer::state_dict(Stream stream) const {
  impl_->require_no_round("state_dict");
  impl_->require_unperturbed("state_dict");
  const step::Table& table = impl_->table_memory.view();
  const step::Progress progress = impl_->progress(stream);
  StateDict dict;
  dict.steps = progress.steps;
  dict.skipped_steps = progress.skipped;
  dict.micro_batches = progress.micro_batches;
  dict.accumulated_weight = progress.accumulated_weight;
  dict.window_scale = progress.window_scale;
  dict.dropped_micro_batches = progress.dropped;
  dict.dropped_since_step = progress.dropped_since_step;
  dict.loss_scale = impl_->handling.loss_scaler ? progress.loss_scale.value : 0.0f;
  dict.growth_tracker = progress.loss_scale.growth_tracker;
  dict.seed = impl_->settings.store.seed;
  for (const Group& group : impl_->groups.all) {
    dict.groups.push_back(saved_group(group.rule));
    dict.schedules.push_back(group.schedule);
  }
  const std::vector<std::int64_t> steps = impl_->step_counts(stream);
  const std::vector<std::int64_t> accumulated = impl_->table_memory.read_counts(table.accumulated, stream);
  for (std::size_t p = 0; p < steps.size(); ++p) {
    SavedParameter& saved = dict.parameters.emplace_back(impl_->saved(p, stream));
    saved.step = steps[p];
    if ((saved.accumulated = accumulated[p]) == 0) continue;
    const Tensor sum = impl_->gradient_sum(p);
    saved.gradient_sum.resize(sum.bytes());
    copy({Device::cpu(), saved.gradient_sum.data()}, {impl_->device, sum.data}, sum.bytes(), stream);
  }
  return dict;
}

void Optimizer::Impl::load_parameters(const StateDict& dict, Stream stream) {
  const step::Table& table = table_memory.view();
  std::vector<std::int64_t> steps = table_memory.read_counts(table.steps, stream);
  std::vector<std::int64_t> accumulated = table_memory.read_counts(table.accumulated, stream);
  std::vector<std::vector<SavedStream>> saved_streams(roster.parameters.size());
  for (const SavedParameter& saved : dict.parameters) {
    const auto known = roster.index_by_name.find(saved.name);
    if (known == roster.index_by_name.end()) continue;
    const std::size_t index = known->second;
    steps[index] = saved.step;
    accumulated[index] = saved.accumulated;
    write_counter(index, saved.step, stream);
    const Shard shard = Shard::of(roster.parameters[index]);
    const auto load = [&](const StreamSpec& spec, const StreamPlace& to, std::span<const std::byte> from) {
      for (const StreamPart& part : spec.parts(shard)) {
        const std::size_t offset =
            part.are_scales ? static_cast<std::size_t>(step::scales_at(shard.numel)) : 0;
        saved_streams[index].push_back({static_cast<std::byte*>(to.part(part.are_scales)),
                                        from.subspan(offset, part.bytes()), size_of(part.dtype),
                                        part.are_scales});
      }
    };
    const std::vector<StreamSpec> specs = specs_of(index);
    const Group& group = groups.all[roster.parameters[index].group];
    const std::vector<const SavedState*> states = kept_states(dict, saved, group, specs);
    for (std::size_t s = 0; s < states.size(); ++s) {
      if (specs[s].numel) {
        copy({device, roster.streams[index][s].data}, {Device::cpu(), states[s]->bytes.data()},
             states[s]->bytes.size(), stream);
        continue;
      }
      load(specs[s], roster.streams[index][s], states[s]->bytes);
    }
    if (saved.accumulated != 0) load(kGradientSum, {gradient_sum(index).data, nullptr}, saved.gradient_sum);
  }
  backend->load(table, saved_streams, stream);
  table_memory.write_counts(table.steps, steps, stream);
  table_memory.write_counts(table.accumulated, accumulated, stream);
}

void Optimizer::load_state_dict(const StateDict& dict, Stream stream) {
  (void)load_state_dict(dict, LoadOptions{}, stream);
}

LoadedDict Optimizer::load_state_dict(const StateDict& dict, const LoadOptions& options, Stream stream) {
  LoadedDict loaded = impl_->check_dict(dict, options, stream);
  impl_->load_checked(dict, stream);
  return loaded;
}

LoadedDict Optimizer::Impl::check_dict(const StateDict& dict, const LoadOptions& options,
                                       Stream stream) const {
  require_no_round("load_state_dict");
  require_unperturbed("load_state_dict");
  LoadedDict loaded = DictCheck(*this, options).check(dict, progress(stream).micro_batches);
  const std::vector<Rule> rules = restored_rules(dict, groups);
  check_averages(rules, roster.parameters);
  for (std::size_t group = 0; group < rules.size(); ++group) {
    const Group& present = groups.all[group];
    check_schedule(dict.schedules.empty() ? present.schedule : dict.schedules[group], rules[group],
                   present.variant, group);
  }
  return loaded;
}

void Optimizer::Impl::load_checked(const StateDict& dict, Stream stream) {
  const std::vector<Rule> rules = restored_rules(dict, groups);
  for (std::size_t group = 0; group < dict.schedules.size(); ++group) {
    if (dict.schedules[group] != groups.all[group].schedule) set_schedule(dict.schedules[group], group);
  }
  step::Progress progress = this->progress(stream);
  load_parameters(dict, stream);
  settings.store.seed = dict.seed;
  patch(&control().settings, settings, stream);
  progress.steps = dict.steps;
  progress.skipped = dict.skipped_steps;
  progress.micro_batches = dict.micro_batches;
  progress.accumulated_weight =
      dict.accumulated_weight > 0 ? dict.accumulated_weight : static_cast<double>(dict.micro_batches);
  progress.window_scale = dict.window_scale;
  progress.dropped = dict.dropped_micro_batches;
  progress.dropped_since_step = dict.dropped_since_step;
  if (handling.loss_scaler && dict.loss_scale != 0) {
    progress.loss_scale = {dict.growth_tracker, dict.loss_scale, 0};
  }
  patch(&control().progress, progress, stream);
  write_rules(rules, stream);
}

}  // namespace onepass
