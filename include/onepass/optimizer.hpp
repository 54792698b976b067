// optimizer.hpp - one optimizer over all parameters of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "onepass/optimizer_core.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass {

template <class R>
concept ParameterRange =
    std::ranges::input_range<R> && std::convertible_to<std::ranges::range_reference_t<R>, Parameter>;

/// Moves every parameter of a model by one rule (SGD, RMSProp, Adam, AdamW, or the caller's own) in one pass
/// over memory. The parameters are the caller's memory, all on one device; the states and step counts are the
/// optimizer's, beside them. On CUDA a step is two kernel launches, whatever the number of tensors and
/// groups.
///
/// Move-only. Not for use from two host threads at once; two optimizers may step at once, on two streams. One
/// optimizer's calls on different streams must be ordered by the caller, by an event say.
/// The destructor waits for the optimizer's own last step. Bad input throws InvalidArgument and changes
/// nothing; a failing CUDA call throws CudaError.
template <ElementwiseRule Rule>
class Optimizer {
 public:
  /// One rule for all parameters (every Parameter::group must be 0), or one for each group.
  /// Allocates the states, zeroes them and waits until they are there.
  /// Throws InvalidArgument if a hyperparameter is out of range; a name is empty or comes twice; a value is
  /// null; a gradient's numel differs from its value's; memory lies on another device than the first
  /// parameter's or than it says; buffers overlap; a group has no rule.
  template <ParameterRange Parameters>
  Optimizer(const Rule& rule, Parameters&& parameters, const Options& options = {})
      : Optimizer(std::vector<Rule>{rule}, std::forward<Parameters>(parameters), options) {}
  template <ParameterRange Parameters>
  Optimizer(std::vector<Rule> groups, Parameters&& parameters, const Options& options = {})
      : rules_(std::move(groups)), core_(rule_ops<Rule>(), blob(), collect(parameters), options) {}

  /// One step of every parameter that has a gradient. Asynchronous on `stream`; never waits for the device
  /// and never allocates, so it can be captured in a CUDA graph; capture again after set_found_inf or
  /// add_parameters, and destroy or move nothing that a graph still replays.
  void step(Stream stream = {}) { core_.step(stream); }

  /// Writes zeros to every gradient. Asynchronous on `stream`; one launch on CUDA.
  void zero_grad(Stream stream = {}) { core_.zero_grad(stream); }

  [[nodiscard]] std::size_t group_count() const { return rules_.size(); }
  /// The hyperparameters of a group, as last set. Throws InvalidArgument if there is no such group.
  [[nodiscard]] const Rule& rule(std::size_t group = 0) const {
    core_.check_group(group);
    return rules_[group];
  }

  /// Changes the learning rate of all groups, or of one, for steps queued on `stream` from now on, replays of
  /// a captured graph included. Asynchronous. Throws InvalidArgument if out of range.
  void set_lr(double lr, Stream stream = {}) {
    std::vector<Rule> changed = rules_;
    for (Rule& rule : changed) rule.lr = lr;
    write_rules(std::move(changed), stream);
  }
  void set_lr(double lr, std::size_t group, Stream stream = {}) {
    Rule changed = rule(group);
    changed.lr = lr;
    set_rule(changed, group, stream);
  }

  /// Changes any hyperparameter of a group, as set_lr does. Throws InvalidArgument if one is out of range or
  /// needs a state that this optimizer does not carry (momentum, say, where no group had any).
  void set_rule(const Rule& rule, std::size_t group = 0, Stream stream = {}) {
    core_.check_group(group);
    std::vector<Rule> changed = rules_;
    changed[group] = rule;
    write_rules(std::move(changed), stream);
  }

  /// Replaces the gradients, one for each parameter in the order of registration; one whose data is null
  /// leaves its parameter out of the following steps, with its states and its step count. Asynchronous: for
  /// steps queued on `stream` from now on, replays of a captured graph included. Nothing is rebuilt: what
  /// changed is patched. Throws InvalidArgument as the constructor does.
  void set_gradients(std::span<const Tensor> gradients, Stream stream = {}) {
    core_.set_gradients(gradients, stream);
  }

  /// `found_inf`, one float on the parameters' device, or null for none: a step that finds it nonzero when it
  /// runs changes nothing, advances no step count, and is counted in skipped_steps().
  void set_found_inf(const float* found_inf) { core_.set_found_inf(found_inf); }

  /// Adds parameters; they start at step 1. Waits for the device.
  template <ParameterRange Parameters>
  void add_parameters(Parameters&& parameters) {
    core_.add_parameters(collect(parameters));
  }

  [[nodiscard]] Device device() const { return core_.device(); }
  [[nodiscard]] std::size_t parameter_count() const { return core_.parameter_count(); }
  /// PyTorch's names of the states that each parameter has, "exp_avg" for one.
  [[nodiscard]] std::span<const char* const> state_names() const { return core_.state_names(); }
  /// A state's memory, on the optimizer's device, readable and writable in the order of the stream.
  /// Throws InvalidArgument if there is no such parameter or state.
  [[nodiscard]] Tensor state(std::string_view parameter, std::string_view state) {
    return core_.state(parameter, state);
  }
  /// How many steps a parameter has taken. Waits for `stream`.
  [[nodiscard]] std::int64_t step_count(std::string_view parameter, Stream stream = {}) const {
    return core_.step_count(parameter, stream);
  }
  /// How many steps found_inf has turned into nothing. Waits for `stream`.
  [[nodiscard]] std::int64_t skipped_steps(Stream stream = {}) const { return core_.skipped_steps(stream); }

  /// All states and step counts, bit for bit, on the host; hyperparameters are not among them. Waits for
  /// `stream`.
  [[nodiscard]] StateDict state_dict(Stream stream = {}) const { return core_.state_dict(stream); }
  /// Puts them back: the optimizer goes on as the one that was read would have. Waits for `stream`.
  /// Throws InvalidArgument unless rule, parameters (by name, any order), sizes and states are the same.
  void load_state_dict(const StateDict& dict, Stream stream = {}) { core_.load_state_dict(dict, stream); }

 private:
  template <class Parameters>
  static std::vector<Parameter> collect(Parameters&& parameters) {
    std::vector<Parameter> collected;
    for (auto&& parameter : parameters) collected.push_back(parameter);
    return collected;
  }

  [[nodiscard]] RuleBlob blob() const { return RuleBlob{std::as_bytes(std::span(rules_)), rules_.size()}; }

  void write_rules(std::vector<Rule> changed, Stream stream) {
    core_.write_rules(RuleBlob{std::as_bytes(std::span(changed)), changed.size()}, stream);
    rules_ = std::move(changed);
  }

  std::vector<Rule> rules_;
  OptimizerCore core_;
};

template <ElementwiseRule Rule, ParameterRange Parameters>
Optimizer(Rule, Parameters&&) -> Optimizer<Rule>;
template <ElementwiseRule Rule, ParameterRange Parameters>
Optimizer(Rule, Parameters&&, const Options&) -> Optimizer<Rule>;
template <ElementwiseRule Rule, ParameterRange Parameters>
Optimizer(std::vector<Rule>, Parameters&&) -> Optimizer<Rule>;
template <ElementwiseRule Rule, ParameterRange Parameters>
Optimizer(std::vector<Rule>, Parameters&&, const Options&) -> Optimizer<Rule>;

}  // namespace onepass
