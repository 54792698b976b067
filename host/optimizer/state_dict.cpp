// state_dict.cpp - the functions of OptimizerCore that read its states and write them back.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/optimizer/optimizer_core.hpp"

namespace onepass {
namespace {

/// "exp_avg, exp_avg_sq"; "none" if there are no names.
std::string listed(std::span<const char* const> names) {
  std::string text;
  for (const char* name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "none" : text;
}

std::vector<const char*> names_of(std::span<const StreamSpec> specs) {
  std::vector<const char*> names;
  for (const StreamSpec& spec : specs) names.push_back(spec.name);
  return names;
}

/// Checks a state dict against the optimizer that is to load it.
class DictCheck {
 public:
  explicit DictCheck(const OptimizerCore::Impl& core) : core_(core) {}

  void check(const StateDict& dict) const {
    if (dict.rule != core_.ops.name) refuse(core_.ops.name, "the state dict is one of " + quoted(dict.rule));
    check_counts(dict);
    check_groups(dict);
    std::vector<bool> seen(core_.roster.parameters.size());
    for (const SavedParameter& saved : dict.parameters) {
      const std::size_t index = core_.find_parameter(saved.name);
      if (seen[index]) refuse(core_.ops.name, "the state dict has " + quoted(saved.name) + " twice");
      seen[index] = true;
      check_parameter(saved, index, dict.micro_batches);
    }
    const auto missing = std::ranges::find(seen, false);
    if (missing != seen.end()) {
      const Parameter& parameter = core_.roster.parameters[static_cast<std::size_t>(missing - seen.begin())];
      refuse(core_.ops.name, "the state dict lacks " + quoted(parameter.name));
    }
  }

 private:
  void require_count(std::int64_t count, const std::string& what) const {
    if (count < 0) refuse(core_.ops.name, "the state dict counts " + std::to_string(count) + " " + what);
  }

  void check_counts(const StateDict& dict) const {
    require_count(dict.steps, "steps");
    require_count(dict.skipped_steps, "skipped steps");
    require_count(dict.micro_batches, "micro-batches");
    require_count(dict.growth_tracker, "steps since the loss scale changed");
    if (dict.micro_batches > 0 && !core_.accumulates) {
      refuse(core_.ops.name,
             "the state dict has accumulated gradients, but this optimizer was made without "
             "Options::accumulates_gradients");
    }
    if (!(std::isfinite(dict.loss_scale) && dict.loss_scale >= 0)) {
      refuse(core_.ops.name, "the state dict has the loss scale " + number(dict.loss_scale));
    }
  }

  void check_groups(const StateDict& dict) const {
    for (const std::size_t groups : {dict.lrs.size(), dict.schedules.size()}) {
      if (groups == 0 || groups == core_.group_count) continue;
      refuse(core_.ops.name, "the state dict has " + std::to_string(groups) +
                                 " groups, but this optimizer has " + std::to_string(core_.group_count));
    }
    for (std::size_t group = 0; group < dict.schedules.size(); ++group) {
      core_.check_schedule(dict.schedules[group], group);
    }
  }

  void check_gradient_sum(const SavedParameter& saved, const Parameter& parameter) const {
    require_count(saved.accumulated, "micro-batches of " + quoted(saved.name));
    const auto wanted =
        saved.accumulated == 0 ? 0 : static_cast<std::size_t>(parameter.value.numel) * sizeof(float);
    if (saved.gradient_sum.size() == wanted && (saved.accumulated == 0 || core_.accumulates)) return;
    refuse(core_.ops.name, "the gradient sum of " + quoted(saved.name) + " has " +
                               std::to_string(saved.gradient_sum.size()) + " bytes in the state dict, but " +
                               std::to_string(core_.accumulates ? wanted : 0) + " here");
  }

  void check_parameter(const SavedParameter& saved, std::size_t index, std::int64_t micro_batches) const {
    const Parameter& parameter = core_.roster.parameters[index];
    const std::vector<StreamSpec> specs = core_.specs_of(index);
    require_count(saved.step, "steps of " + quoted(saved.name));
    if (saved.accumulated > micro_batches) {
      refuse(core_.ops.name, "the state dict counts " + std::to_string(saved.accumulated) +
                                 " micro-batches of " + quoted(saved.name) + ", but " +
                                 std::to_string(micro_batches) + " in all");
    }
    check_gradient_sum(saved, parameter);
    const bool same = std::ranges::equal(
        saved.states, specs,
        [](const SavedState& state, const StreamSpec& spec) { return state.name == spec.name; });
    if (!same) {
      std::vector<const char*> given;
      for (const SavedState& state : saved.states) given.push_back(state.name.c_str());
      refuse(core_.ops.name, "the state dict has the states " + listed(given) + " for " + quoted(saved.name) +
                                 ", but this optimizer's are " + listed(names_of(specs)));
    }
    for (std::size_t s = 0; s < specs.size(); ++s) {
      const SavedState& state = saved.states[s];
      const std::size_t wanted = specs[s].bytes(parameter.value.numel);
      if (state.dtype == specs[s].dtype && state.bytes.size() == wanted) continue;
      refuse(core_.ops.name, state.name + " of " + quoted(saved.name) + " has " +
                                 std::to_string(state.bytes.size()) + " bytes of " + to_string(state.dtype) +
                                 " in the state dict, but " + std::to_string(wanted) + " of " +
                                 to_string(specs[s].dtype) + " here");
    }
  }

  const OptimizerCore::Impl& core_;
};

}  // namespace

std::size_t OptimizerCore::Impl::find_parameter(std::string_view name) const {
  const auto found = roster.index_by_name.find(std::string(name));
  if (found == roster.index_by_name.end()) refuse(ops.name, "there is no parameter " + quoted(name));
  return found->second;
}

std::size_t OptimizerCore::Impl::find_stream(std::size_t parameter, std::string_view name) const {
  const std::vector<StreamSpec> specs = specs_of(parameter);
  const auto found =
      std::ranges::find(specs, name, [](const StreamSpec& spec) { return std::string_view(spec.name); });
  if (found == specs.end())
    refuse(ops.name, "there is no state " + quoted(name) + "; the states are: " + listed(names_of(specs)));
  return static_cast<std::size_t>(found - specs.begin());
}

Tensor OptimizerCore::Impl::stream(std::size_t parameter, std::size_t stream) const {
  return {roster.streams[parameter][stream], specs_of(parameter)[stream].dtype,
          roster.parameters[parameter].value.numel, device};
}

Tensor OptimizerCore::state(std::string_view parameter, std::string_view state) {
  const std::size_t index = impl_->find_parameter(parameter);
  return impl_->stream(index, impl_->find_stream(index, state));
}

Tensor OptimizerCore::Impl::gradient_sum(std::size_t parameter) const {
  return {static_cast<float*>(roster.gradient_sums[parameter]), roster.parameters[parameter].value.numel,
          device};
}

std::int64_t OptimizerCore::step_count(std::string_view parameter, Stream stream) const {
  const std::int64_t* const steps = impl_->table_memory.view().steps;
  return impl_->table_memory.read(steps + impl_->find_parameter(parameter), stream);
}

std::int64_t OptimizerCore::steps(Stream stream) const { return impl_->progress(stream).steps; }

std::int64_t OptimizerCore::skipped_steps(Stream stream) const { return impl_->progress(stream).skipped; }

namespace {

std::vector<std::byte> read_bytes(Device device, const void* from, std::size_t size, Stream stream) {
  std::vector<std::byte> bytes(size);
  copy({Device::cpu(), bytes.data()}, {device, from}, size, stream);
  return bytes;
}

void write_bytes(Device device, void* to, const std::vector<std::byte>& bytes, Stream stream) {
  copy({device, to}, {Device::cpu(), bytes.data()}, bytes.size(), stream);
}

}  // namespace

StateDict OptimizerCore::state_dict(Stream stream) const {
  const step::Table& table = impl_->table_memory.view();
  const step::Progress progress = impl_->progress(stream);
  StateDict dict{.rule = impl_->ops.name,
                 .steps = progress.steps,
                 .skipped_steps = progress.skipped,
                 .micro_batches = progress.micro_batches,
                 .loss_scale = impl_->handling.loss_scaler ? progress.loss_scale.value : 0.0f,
                 .growth_tracker = progress.loss_scale.growth_tracker,
                 .seed = impl_->settings.store.seed,
                 .lrs = {},
                 .schedules = impl_->schedules,
                 .parameters = {}};
  const std::vector<std::int64_t> steps = impl_->table_memory.read_counts(table.steps, stream);
  const std::vector<std::int64_t> accumulated = impl_->table_memory.read_counts(table.accumulated, stream);
  for (std::size_t p = 0; p < steps.size(); ++p) {
    const Parameter& parameter = impl_->roster.parameters[p];
    SavedParameter saved{.name = parameter.name,
                         .step = steps[p],
                         .states = {},
                         .accumulated = accumulated[p],
                         .gradient_sum = {}};
    const std::vector<StreamSpec> specs = impl_->specs_of(p);
    for (std::size_t s = 0; s < specs.size(); ++s) {
      saved.states.push_back({specs[s].name, specs[s].dtype,
                              read_bytes(impl_->device, impl_->roster.streams[p][s],
                                         specs[s].bytes(parameter.value.numel), stream)});
    }
    if (accumulated[p] != 0) {
      const Tensor sum = impl_->gradient_sum(p);
      saved.gradient_sum = read_bytes(impl_->device, sum.data, sum.bytes(), stream);
    }
    dict.parameters.push_back(std::move(saved));
  }
  return dict;
}

void OptimizerCore::load_state_dict(const StateDict& dict, Stream stream) {
  DictCheck(*impl_).check(dict);
  for (std::size_t group = 0; group < dict.schedules.size(); ++group) {
    if (dict.schedules[group] != impl_->schedules[group]) impl_->set_schedule(dict.schedules[group], group);
  }
  std::vector<std::int64_t> steps(dict.parameters.size());
  std::vector<std::int64_t> accumulated(dict.parameters.size());
  for (const SavedParameter& saved : dict.parameters) {
    const std::size_t index = impl_->find_parameter(saved.name);
    steps[index] = saved.step;
    accumulated[index] = saved.accumulated;
    for (std::size_t s = 0; s < saved.states.size(); ++s) {
      write_bytes(impl_->device, impl_->roster.streams[index][s], saved.states[s].bytes, stream);
    }
    if (saved.accumulated != 0) {
      write_bytes(impl_->device, impl_->gradient_sum(index).data, saved.gradient_sum, stream);
    }
  }
  const step::Table& table = impl_->table_memory.view();
  impl_->table_memory.write_counts(table.steps, steps, stream);
  impl_->table_memory.write_counts(table.accumulated, accumulated, stream);
  impl_->settings.store.seed = dict.seed;
  impl_->patch(&impl_->control().settings, impl_->settings, stream);
  step::Progress progress = impl_->progress(stream);
  progress.steps = dict.steps;
  progress.skipped = dict.skipped_steps;
  progress.micro_batches = dict.micro_batches;
  if (impl_->handling.loss_scaler && dict.loss_scale != 0) {
    progress.loss_scale = {dict.growth_tracker, dict.loss_scale, 0};
  }
  impl_->patch(&impl_->control().progress, progress, stream);
}

}  // namespace onepass
