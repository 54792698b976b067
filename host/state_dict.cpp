// state_dict.cpp - what an optimizer remembers, read out and put back.
#include <algorithm>
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
    if (dict.skipped_steps < 0) {
      refuse(core_.ops.name,
             "the state dict counts " + std::to_string(dict.skipped_steps) + " skipped steps");
    }
    std::vector<bool> seen(core_.roster.parameters.size());
    for (const SavedParameter& saved : dict.parameters) {
      const std::size_t index = core_.find_parameter(saved.name);
      if (seen[index]) refuse(core_.ops.name, "the state dict has " + quoted(saved.name) + " twice");
      seen[index] = true;
      check_parameter(saved, core_.roster.parameters[index]);
    }
    const auto missing = std::ranges::find(seen, false);
    if (missing != seen.end()) {
      const Parameter& parameter = core_.roster.parameters[static_cast<std::size_t>(missing - seen.begin())];
      refuse(core_.ops.name, "the state dict lacks " + quoted(parameter.name));
    }
  }

 private:
  void check_parameter(const SavedParameter& saved, const Parameter& parameter) const {
    const std::span<const char* const> names = core_.variant_ops().states;
    if (saved.step < 0) {
      refuse(core_.ops.name,
             "the state dict counts " + std::to_string(saved.step) + " steps of " + quoted(saved.name));
    }
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

std::int64_t OptimizerCore::step_count(std::string_view parameter, Stream stream) const {
  return impl_->table_memory.step(impl_->find_parameter(parameter), stream);
}

std::int64_t OptimizerCore::skipped_steps(Stream stream) const { return impl_->table_memory.skipped(stream); }

StateDict OptimizerCore::state_dict(Stream stream) const {
  StateDict dict{impl_->ops.name, impl_->table_memory.skipped(stream), {}};
  const std::vector<std::int64_t> steps = impl_->table_memory.steps(stream);
  const std::span<const char* const> names = impl_->variant_ops().states;
  for (std::size_t p = 0; p < steps.size(); ++p) {
    SavedParameter saved{impl_->roster.parameters[p].name, steps[p], {}};
    for (std::size_t s = 0; s < names.size(); ++s) {
      const Tensor state = impl_->state(p, s);
      SavedState bytes{names[s], state.dtype, std::vector<std::byte>(state.bytes())};
      copy({Device::cpu(), bytes.bytes.data()}, {state.device, state.data}, state.bytes(), stream);
      saved.states.push_back(std::move(bytes));
    }
    dict.parameters.push_back(std::move(saved));
  }
  return dict;
}

void OptimizerCore::load_state_dict(const StateDict& dict, Stream stream) {
  DictCheck(*impl_).check(dict);
  std::vector<std::int64_t> steps(dict.parameters.size());
  for (const SavedParameter& saved : dict.parameters) {
    const std::size_t index = impl_->find_parameter(saved.name);
    steps[index] = saved.step;
    for (std::size_t s = 0; s < saved.states.size(); ++s) {
      const Tensor state = impl_->state(index, s);
      copy({state.device, state.data}, {Device::cpu(), saved.states[s].bytes.data()}, state.bytes(), stream);
    }
  }
  impl_->table_memory.write_steps(steps, dict.skipped_steps, stream);
}

}  // namespace onepass
