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
/// optimizer's, beside them. On CUDA a step is two kernel launches, three if gradients are measured, and one
/// more for each further storage format, whatever the number of tensors and groups.
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
  /// parameter's or than it says; a value or a copy overlaps another buffer; a group has no rule. Gradients
  /// may share memory with each other, but not where steps zero them.
  template <ParameterRange Parameters>
  Optimizer(const Rule& rule, Parameters&& parameters, const Options& options = {})
      : Optimizer(std::vector<Rule>{rule}, std::forward<Parameters>(parameters), options) {}
  template <ParameterRange Parameters>
  Optimizer(std::vector<Rule> groups, Parameters&& parameters, const Options& options = {})
      : rules_(std::move(groups)), core_(rule_ops<Rule>(), blob(), collect(parameters), options) {}

  /// One step of every parameter that has a gradient. Asynchronous on `stream`; never waits for the device
  /// and never allocates, so it can be captured in a CUDA graph; capture again after add_parameters,
  /// and destroy or move nothing that a graph still replays.
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

  /// Lets the learning rate of all groups, or of one, follow a schedule of the steps taken (schedules/). It
  /// is evaluated on the device where that count is, before each step: a captured graph follows it, and a
  /// skipped step does not advance it. From then on lr is the base rate that the schedule starts from, and
  /// set_lr changes that. Schedule{} is none. Copies the schedule to the device and waits for the steps so
  /// far. Throws InvalidArgument if it drives a momentum that the rule has not or the optimizer carries no
  /// state for.
  void set_schedule(const Schedule& schedule) { core_.set_schedule(schedule); }
  void set_schedule(const Schedule& schedule, std::size_t group) { core_.set_schedule(schedule, group); }
  [[nodiscard]] const Schedule& schedule(std::size_t group = 0) const { return core_.schedule(group); }
  /// The learning rate of a group's next step, after its schedule. Waits for `stream`.
  [[nodiscard]] double lr(std::size_t group = 0, Stream stream = {}) const { return core_.lr(group, stream); }

  /// Replaces the gradients, one for each parameter in the order of registration; one whose data is null
  /// leaves its parameter out of the following steps, with its states and its step count. Asynchronous: for
  /// steps queued on `stream` from now on, replays of a captured graph included. Nothing is rebuilt: what
  /// changed is patched. Throws InvalidArgument as the constructor does.
  void set_gradients(std::span<const Tensor> gradients, Stream stream = {}) {
    core_.set_gradients(gradients, stream);
  }

  /// What steps do with the gradients they find: clipping, unscaling, the policy for NaN and Inf, zeroing.
  /// Asynchronous, for steps queued on `stream` from now on, replays of a captured graph included; but a
  /// graph captured while nothing was measured (no clip_norm, no scaler, NonFinite::propagate) has no launch
  /// that could: capture again. A changed loss_scale or loss_scaler starts anew from its first scale. Throws
  /// InvalidArgument if a value is out of range or a pointer is on another device.
  void set_gradient_handling(const GradientHandling& handling, Stream stream = {}) {
    core_.set_gradient_handling(handling, stream);
  }
  [[nodiscard]] const GradientHandling& gradient_handling() const { return core_.gradient_handling(); }

  /// Shorthands for one field of it.
  void clip_grad_norm(const ClipGradNorm& clip, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.clip_norm = clip; }, stream);
  }
  void clip_grad_norm(double max_norm, Stream stream = {}) {
    clip_grad_norm(ClipGradNorm{.max_norm = max_norm}, stream);
  }
  void clip_grad_value(double clip_value, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.clip_value = clip_value; }, stream);
  }
  void set_nonfinite(NonFinite policy, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.nonfinite = policy; }, stream);
  }
  void set_found_inf(const float* found_inf, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.found_inf = found_inf; }, stream);
  }

  /// Adds the gradients of a micro-batch to a float32 sum, from which the next step takes their mean: the sum
  /// over the number of calls since the last step, whatever part of the model each had gradients for. A
  /// parameter that had none in any of them is left out of the step; so are all if there was no call.
  /// Asynchronous; one launch on CUDA. Throws InvalidArgument unless made with
  /// Options::accumulates_gradients.
  void accumulate(Stream stream = {}) { core_.accumulate(stream); }

  /// The norm of all gradients at the last step that measured it (clip_norm, whether or not it clipped),
  /// unscaled, before clipping; 0 before the first. Waits for `stream`.
  [[nodiscard]] double grad_norm(Stream stream = {}) const { return core_.grad_norm(stream); }
  /// The same without waiting: fetch, asynchronous, copies it to the host in the order of `stream`, and
  /// fetched says what arrived last; NaN before the first.
  void fetch_grad_norm(Stream stream = {}) { core_.fetch_grad_norm(stream); }
  [[nodiscard]] double fetched_grad_norm() const { return core_.fetched_grad_norm(); }

  /// sum (0.5 * weight_decay * p^2 + l1 * |p|) over all parameters, with the decay of groups where it is
  /// coupled: what the penalties add to the loss. In double, in the order of ClipGradNorm's norm. Not finite
  /// where a parameter is not. Waits for `stream`.
  [[nodiscard]] double penalty(Stream stream = {}) const { return core_.penalty(stream); }

  /// What the loss is to be multiplied by, one float on the parameters' device, which steps change in place
  /// if there is a loss scaler. Valid until add_parameters.
  [[nodiscard]] const float* loss_scale_pointer() const { return core_.loss_scale_pointer(); }
  /// Its value now. Waits for `stream`.
  [[nodiscard]] float loss_scale(Stream stream = {}) const { return core_.loss_scale(stream); }

  /// With NonFinite::error: throws NonFiniteGradient if a step since the last call met a gradient that was
  /// not finite, and names the first. Waits for `stream`.
  void check(Stream stream = {}) { core_.check(stream); }

  /// Adds parameters; they start at step 1. Waits for the device.
  template <ParameterRange Parameters>
  void add_parameters(Parameters&& parameters) {
    core_.add_parameters(collect(parameters));
  }

  /// Bytes of each stream, of all parameters together: what the model and its optimizer take in memory
  /// (tables and schedules, some bytes a tensor, are left out), and what a step has to read and write.
  [[nodiscard]] std::vector<StreamBytes> memory() const { return core_.memory(); }
  [[nodiscard]] std::vector<StreamBytes> traffic() const { return core_.traffic(); }

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
  /// How many steps the optimizer has taken, those left out that were skipped. Waits for `stream`.
  [[nodiscard]] std::int64_t steps(Stream stream = {}) const { return core_.steps(stream); }
  /// How many steps were turned into nothing, by found_inf or a gradient that was not finite. Waits for
  /// `stream`.
  [[nodiscard]] std::int64_t skipped_steps(Stream stream = {}) const { return core_.skipped_steps(stream); }

  /// All states, counts, accumulated gradients, the loss scale, base rates and schedules, bit for bit, on the
  /// host; the other hyperparameters are not among them. Waits for `stream`.
  [[nodiscard]] StateDict state_dict(Stream stream = {}) const {
    StateDict dict = core_.state_dict(stream);
    for (const Rule& rule : rules_) dict.lrs.push_back(rule.lr);
    return dict;
  }
  /// Puts them back: the optimizer goes on as the one that was read would have. The loss scale returns where
  /// both have a loss scaler: set_gradient_handling comes first. Waits for `stream`.
  /// Throws InvalidArgument unless rule, groups, parameters (by name, any order), sizes and states are the
  /// same.
  void load_state_dict(const StateDict& dict, Stream stream = {}) {
    std::vector<Rule> changed = rules_;
    for (std::size_t group = 0; group < dict.lrs.size() && group < changed.size(); ++group) {
      changed[group].lr = dict.lrs[group];
      changed[group].check();
    }
    core_.load_state_dict(dict, stream);
    write_rules(std::move(changed), stream);
  }

 private:
  template <class Parameters>
  static std::vector<Parameter> collect(Parameters&& parameters) {
    std::vector<Parameter> collected;
    for (auto&& parameter : parameters) collected.push_back(parameter);
    return collected;
  }

  [[nodiscard]] RuleBlob blob() const { return RuleBlob{std::as_bytes(std::span(rules_)), rules_.size()}; }

  template <class Change>
  void change_handling(Change change, Stream stream) {
    GradientHandling handling = gradient_handling();
    change(handling);
    set_gradient_handling(handling, stream);
  }

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
