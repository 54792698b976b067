// state_dict.cpp - what an optimizer remembers, read out and put back.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "host/optimizer_core.hpp"
#include "host/sentence.hpp"

namespace onepass {
namespace {

std::string listed(std::span<const char* const> names) {
  std::string text;
  for (const char* name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "none" : text;
}

/// Holds a dict against the optimizer that is to take it.
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
      check_parameter(saved, core_.roster.parameters[index], dict.micro_batches);
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

  void check_parameter(const SavedParameter& saved, const Parameter& parameter,
                       std::int64_t micro_batches) const {
    const std::span<const char* const> names = core_.variant_ops().states;
    require_count(saved.step, "steps of " + quoted(saved.name));
    if (saved.accumulated > micro_batches) {
      refuse(core_.ops.name, "the state dict counts " + std::to_string(saved.accumulated) +
                                 " micro-batches of " + quoted(saved.name) + ", but " +
                                 std::to_string(micro_batches) + " in all");
    }
    check_gradient_sum(saved, parameter);
    const bool same = std::ranges::equal(
        saved.states, names, [](const SavedState& state, const char* name) { return state.name == name; });
    if (!same) {
      std::vector<const char*> given;
      for (const SavedState& state : saved.states) given.push_back(state.name.c_str());
      refuse(core_.ops.name, "the state dict has the states " + listed(given) + " for " + quoted(saved.name) +
                                 ", but this optimizer's are " + listed(names));
    }
    for (const SavedState& state : saved.states) {
      if (state.dtype == parameter.value.dtype && state.bytes.size() == parameter.value.bytes()) continue;
      refuse(core_.ops.name, state.name + " of " + quoted(saved.name) + " has " +
                                 std::to_string(state.bytes.size()) + " bytes in the state dict, but " +
                                 std::to_string(parameter.value.bytes()) + " here");
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

std::size_t OptimizerCore::Impl::find_state(std::string_view name) const {
  const std::span<const char* const> names = variant_ops().states;
  const auto found = std::ranges::find(names, name);
  if (found == names.end())
    refuse(ops.name, "there is no state " + quoted(name) + "; the states are: " + listed(names));
  return static_cast<std::size_t>(found - names.begin());
}

Tensor OptimizerCore::Impl::state(std::size_t parameter, std::size_t state) const {
  return {static_cast<float*>(roster.states[parameter][state]), roster.parameters[parameter].value.numel,
          device};
}

Tensor OptimizerCore::state(std::string_view parameter, std::string_view state) {
  return impl_->state(impl_->find_parameter(parameter), impl_->find_state(state));
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

std::vector<std::byte> bytes_of(const Tensor& tensor, Stream stream) {
  std::vector<std::byte> bytes(tensor.bytes());
  copy({Device::cpu(), bytes.data()}, {tensor.device, tensor.data}, bytes.size(), stream);
  return bytes;
}

void write_back(const Tensor& tensor, const std::vector<std::byte>& bytes, Stream stream) {
  copy({tensor.device, tensor.data}, {Device::cpu(), bytes.data()}, bytes.size(), stream);
}

}  // namespace

StateDict OptimizerCore::state_dict(Stream stream) const {
  const kernels::Table& table = impl_->table_memory.view();
  const kernels::Progress progress = impl_->progress(stream);
  StateDict dict{.rule = impl_->ops.name,
                 .steps = progress.steps,
                 .skipped_steps = progress.skipped,
                 .micro_batches = progress.micro_batches,
                 .loss_scale = impl_->handling.loss_scaler ? progress.loss_scale.value : 0.0f,
                 .growth_tracker = progress.loss_scale.growth_tracker,
                 .lrs = {},
                 .schedules = impl_->schedules,
                 .parameters = {}};
  const std::vector<std::int64_t> steps = impl_->table_memory.read_counts(table.steps, stream);
  const std::vector<std::int64_t> accumulated = impl_->table_memory.read_counts(table.accumulated, stream);
  const std::span<const char* const> names = impl_->variant_ops().states;
  for (std::size_t p = 0; p < steps.size(); ++p) {
    SavedParameter saved{.name = impl_->roster.parameters[p].name,
                         .step = steps[p],
                         .states = {},
                         .accumulated = accumulated[p],
                         .gradient_sum = {}};
    for (std::size_t s = 0; s < names.size(); ++s) {
      const Tensor state = impl_->state(p, s);
      saved.states.push_back({names[s], state.dtype, bytes_of(state, stream)});
    }
    if (accumulated[p] != 0) saved.gradient_sum = bytes_of(impl_->gradient_sum(p), stream);
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
      write_back(impl_->state(index, s), saved.states[s].bytes, stream);
    }
    if (saved.accumulated != 0) write_back(impl_->gradient_sum(index), saved.gradient_sum, stream);
  }
  const kernels::Table& table = impl_->table_memory.view();
  impl_->table_memory.write_counts(table.steps, steps, stream);
  impl_->table_memory.write_counts(table.accumulated, accumulated, stream);
  kernels::Progress progress = impl_->progress(stream);
  progress.steps = dict.steps;
  progress.skipped = dict.skipped_steps;
  progress.micro_batches = dict.micro_batches;
  if (impl_->handling.loss_scaler && dict.loss_scale != 0) {
    progress.loss_scale = {dict.growth_tracker, dict.loss_scale, 0};
  }
  impl_->patch(&impl_->control().progress, progress, stream);
}

}  // namespace onepass
