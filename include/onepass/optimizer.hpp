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

/// A range whose elements convert to Parameter.
template <class R>
concept ParameterRange =
    std::ranges::input_range<R> && std::convertible_to<std::ranges::range_reference_t<R>, Parameter>;

/// Updates every parameter of a model with one rule (SGD, RMSProp, Adam, AdamW, or your own) in one pass over
/// memory.
///
/// The caller owns the memory of the parameters, which must all be on one device. The optimizer owns the
/// states and step counts, on the same device. On CUDA a step is two kernel launches, three if it measures
/// the gradients (clipping by norm, a loss scaler, or a test for Inf and NaN), and one more for each further
/// storage format, whatever the number of tensors and groups.
///
/// Move-only. Do not call one optimizer from two host threads at once. Two optimizers may step at the same
/// time, on two CUDA streams. If you call one optimizer on several CUDA streams, you must order the calls,
/// for example with an event. The destructor waits for the optimizer's last step.
///
/// Every call throws InvalidArgument on bad input, having changed nothing, and CudaError if a CUDA call
/// fails.
template <ElementwiseRule Rule>
class Optimizer {
 public:
  /// Registers the parameters with one rule for all of them; every Parameter::group must be 0. Allocates the
  /// states, fills them with zeros and waits until that is done.
  ///
  /// Throws InvalidArgument if
  /// - a hyperparameter or an option is out of range, or a group has no rule;
  /// - a name is empty or occurs twice;
  /// - a value is null, or a gradient or copy has another numel than its value or a dtype that does not fit;
  /// - memory is on another device than the first parameter's or than its Tensor says, or is not aligned to
  ///   its elements;
  /// - a value or a copy overlaps another value, copy or gradient.
  ///
  /// Gradients may share memory with each other, unless steps zero them.
  template <ParameterRange Parameters>
  Optimizer(const Rule& rule, Parameters&& parameters, const Options& options = {})
      : Optimizer(std::vector<Rule>{rule}, std::forward<Parameters>(parameters), options) {}
  /// Registers the parameters with one rule for each group; otherwise as above.
  template <ParameterRange Parameters>
  Optimizer(std::vector<Rule> groups, Parameters&& parameters, const Options& options = {})
      : rules_(std::move(groups)), core_(rule_ops<Rule>(), blob(), collect(parameters), options) {}

  /// Updates every parameter that has a gradient. Asynchronous on `stream`. A step never waits for the device
  /// and never allocates, so you can capture it in a CUDA graph. Capture again after add_parameters(), and do
  /// not destroy or move anything that a graph still replays.
  void step(Stream stream = {}) { core_.step(stream); }

  /// Fills every gradient with zeros. Asynchronous on `stream`; one launch on CUDA.
  void zero_grad(Stream stream = {}) { core_.zero_grad(stream); }

  /// Number of parameter groups.
  [[nodiscard]] std::size_t group_count() const { return rules_.size(); }
  /// Returns the hyperparameters of a group, as last set. Throws InvalidArgument if there is no such group.
  [[nodiscard]] const Rule& rule(std::size_t group = 0) const {
    core_.check_group(group);
    return rules_[group];
  }

  /// Sets the learning rate of all groups. Asynchronous: it takes effect for steps queued on `stream` after
  /// this call, including replays of a captured graph. Throws InvalidArgument if lr is out of range.
  void set_lr(double lr, Stream stream = {}) {
    std::vector<Rule> changed = rules_;
    for (Rule& rule : changed) rule.lr = lr;
    write_rules(std::move(changed), stream);
  }
  /// Sets the learning rate of one group; otherwise as above. Throws InvalidArgument if there is no such
  /// group.
  void set_lr(double lr, std::size_t group, Stream stream = {}) {
    Rule changed = rule(group);
    changed.lr = lr;
    set_rule(changed, group, stream);
  }

  /// Replaces all hyperparameters of a group. Asynchronous, with the effect of set_lr(). Throws
  /// InvalidArgument if one is out of range, or needs a state that this optimizer does not keep: for example
  /// momentum, if no group had momentum when the optimizer was constructed.
  void set_rule(const Rule& rule, std::size_t group = 0, Stream stream = {}) {
    core_.check_group(group);
    std::vector<Rule> changed = rules_;
    changed[group] = rule;
    write_rules(std::move(changed), stream);
  }

  /// Makes the learning rate of all groups follow a schedule over the steps taken.
  ///
  /// The device evaluates the schedule before each step, from the step count in its own memory: a captured
  /// graph follows the schedule, and a skipped step does not advance it. The rule's lr becomes the base rate
  /// that the schedule is applied to, and set_lr() changes that base rate. Schedule{} removes the schedule.
  ///
  /// Copies the schedule to the device and waits for the optimizer's last step. Throws InvalidArgument if the
  /// schedule drives a momentum and the rule has none, or the optimizer keeps no state for it.
  void set_schedule(const Schedule& schedule) { core_.set_schedule(schedule); }
  /// The same for one group. Throws InvalidArgument also if there is no such group.
  void set_schedule(const Schedule& schedule, std::size_t group) { core_.set_schedule(schedule, group); }
  /// Returns the schedule of a group, as last set. Throws InvalidArgument if there is no such group.
  [[nodiscard]] const Schedule& schedule(std::size_t group = 0) const { return core_.schedule(group); }
  /// Returns the learning rate of a group's next step, with its schedule applied. Waits for `stream`.
  [[nodiscard]] double lr(std::size_t group = 0, Stream stream = {}) const { return core_.lr(group, stream); }

  /// Replaces the gradients, one Tensor for each parameter in the order of registration. A Tensor whose data
  /// is null leaves its parameter, with its states and step count, out of the following steps. Asynchronous:
  /// it takes effect for steps queued on `stream` after this call, including replays of a captured graph. It
  /// patches only the pointers that changed. Throws InvalidArgument as the constructor does.
  void set_gradients(std::span<const Tensor> gradients, Stream stream = {}) {
    core_.set_gradients(gradients, stream);
  }

  /// Sets what steps do with the gradients before the rule: clipping, unscaling, the policy for Inf and NaN,
  /// zeroing. Asynchronous: it takes effect for steps queued on `stream` after this call, including replays
  /// of a captured graph.
  ///
  /// A graph captured while no norm was needed (no clip_norm, no loss_scaler, NonFinite::propagate) contains
  /// no norm launch. Capture it again after turning one of these on. If loss_scale or loss_scaler changes,
  /// the scale restarts from its initial value. Throws InvalidArgument if a value is out of range or a
  /// pointer is on another device.
  void set_gradient_handling(const GradientHandling& handling, Stream stream = {}) {
    core_.set_gradient_handling(handling, stream);
  }
  /// Returns the gradient handling, as last set.
  [[nodiscard]] const GradientHandling& gradient_handling() const { return core_.gradient_handling(); }

  /// Sets GradientHandling::clip_norm and keeps the other fields; see set_gradient_handling().
  void clip_grad_norm(const ClipGradNorm& clip, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.clip_norm = clip; }, stream);
  }
  /// Clips by the L2 norm with PyTorch's formula.
  void clip_grad_norm(double max_norm, Stream stream = {}) {
    clip_grad_norm(ClipGradNorm{.max_norm = max_norm}, stream);
  }
  /// Sets GradientHandling::clip_value alone.
  void clip_grad_value(double clip_value, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.clip_value = clip_value; }, stream);
  }
  /// Sets GradientHandling::nonfinite alone.
  void set_nonfinite(NonFinite policy, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.nonfinite = policy; }, stream);
  }
  /// Sets GradientHandling::found_inf alone.
  void set_found_inf(const float* found_inf, Stream stream = {}) {
    change_handling([&](GradientHandling& handling) { handling.found_inf = found_inf; }, stream);
  }

  /// Adds the gradients of a micro-batch to a float32 sum per parameter. The next step uses the mean: the sum
  /// divided by the number of calls since the last step, even if some calls had no gradient for a parameter.
  /// The step leaves out a parameter that had no gradient in any of the calls, and all parameters if there
  /// was no call. Asynchronous on `stream`; one launch on CUDA. Throws InvalidArgument unless the optimizer
  /// was constructed with Options::accumulates_gradients.
  void accumulate(Stream stream = {}) { core_.accumulate(stream); }

  /// Returns the norm of all gradients at the last step that measured it (a step with clip_norm, whether or
  /// not it clipped), unscaled and before clipping. It is 0 before the first such step. Waits for `stream`.
  [[nodiscard]] double grad_norm(Stream stream = {}) const { return core_.grad_norm(stream); }
  /// Queues a copy of the norm to the host, in the order of `stream`. Asynchronous.
  void fetch_grad_norm(Stream stream = {}) { core_.fetch_grad_norm(stream); }
  /// Returns the norm that the last completed fetch_grad_norm() brought, without waiting; NaN before the
  /// first.
  [[nodiscard]] double fetched_grad_norm() const { return core_.fetched_grad_norm(); }

  /// Returns the sum of the penalties over all parameters: 0.5 * weight_decay * p^2 (in groups with coupled
  /// decay) plus l1 * |p|. This is the amount that they add to the loss. It is summed in double, in the order
  /// of ClipGradNorm's norm, and is not finite if a parameter is not. Waits for `stream`.
  [[nodiscard]] double penalty(Stream stream = {}) const { return core_.penalty(stream); }

  /// Returns a pointer to one float on the parameters' device: the factor by which you multiply the loss. A
  /// loss scaler's steps change it in place. The pointer is valid until add_parameters().
  [[nodiscard]] const float* loss_scale_pointer() const { return core_.loss_scale_pointer(); }
  /// Returns the current loss scale. Waits for `stream`.
  [[nodiscard]] float loss_scale(Stream stream = {}) const { return core_.loss_scale(stream); }

  /// Throws NonFiniteGradient if the policy is NonFinite::error and a step since the last call found a
  /// gradient that is not finite; the message names the first one. Waits for `stream`.
  void check(Stream stream = {}) { core_.check(stream); }

  /// Adds parameters, whose first step is step 1. Waits for the device. Throws InvalidArgument as the
  /// constructor does.
  template <ParameterRange Parameters>
  void add_parameters(Parameters&& parameters) {
    core_.add_parameters(collect(parameters));
  }

  /// Returns the bytes that the model and its optimizer take in memory, per stream and summed over all
  /// parameters. Tables and schedules, which take a few bytes per tensor, are not included.
  [[nodiscard]] std::vector<StreamBytes> memory() const { return core_.memory(); }
  /// Returns the bytes that a step reads and writes, per stream and summed over all parameters.
  [[nodiscard]] std::vector<StreamBytes> traffic() const { return core_.traffic(); }

  /// Device of all parameters and states.
  [[nodiscard]] Device device() const { return core_.device(); }
  /// Number of registered parameters (tensors).
  [[nodiscard]] std::size_t parameter_count() const { return core_.parameter_count(); }
  /// Returns PyTorch's names of the states that each parameter has, such as "exp_avg".
  [[nodiscard]] std::span<const char* const> state_names() const { return core_.state_names(); }
  /// Returns a view of a state's memory on the optimizer's device. You may read and write it, ordered with
  /// the steps on their CUDA stream. Throws InvalidArgument if there is no such parameter or state.
  [[nodiscard]] Tensor state(std::string_view parameter, std::string_view state) {
    return core_.state(parameter, state);
  }
  /// Returns the number of steps that a parameter has taken. Waits for `stream`. Throws InvalidArgument if
  /// there is no such parameter.
  [[nodiscard]] std::int64_t step_count(std::string_view parameter, Stream stream = {}) const {
    return core_.step_count(parameter, stream);
  }
  /// Returns the number of steps that the optimizer has taken, skipped steps excluded. Waits for `stream`.
  [[nodiscard]] std::int64_t steps(Stream stream = {}) const { return core_.steps(stream); }
  /// Returns the number of steps that were skipped because of found_inf or a gradient that was not finite.
  /// Waits for `stream`.
  [[nodiscard]] std::int64_t skipped_steps(Stream stream = {}) const { return core_.skipped_steps(stream); }

  /// Copies all states, counts, accumulated gradients, the loss scale, base learning rates and schedules to
  /// the host, bit for bit. The other hyperparameters are not included. Waits for `stream`.
  [[nodiscard]] StateDict state_dict(Stream stream = {}) const {
    StateDict dict = core_.state_dict(stream);
    for (const Rule& rule : rules_) dict.lrs.push_back(rule.lr);
    return dict;
  }
  /// Restores a state dict: the optimizer continues exactly as the saved one would have. It restores the loss
  /// scale only if both have a loss scaler, so call set_gradient_handling() first. Waits for `stream`. Throws
  /// InvalidArgument unless both have the same rule, groups, parameters (by name, in any order), sizes and
  /// states.
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
