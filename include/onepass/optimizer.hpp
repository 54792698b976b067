// optimizer.hpp - one optimizer over all parameters of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/gradients.hpp"
#include "onepass/options.hpp"
#include "onepass/parameter.hpp"
#include "onepass/regularizers/sam.hpp"
#include "onepass/rule/rule.hpp"
#include "onepass/schedules/schedule.hpp"
#include "onepass/state_dict.hpp"
#include "onepass/storage/footprint.hpp"
#include "onepass/stream.hpp"

namespace onepass {

/// Updates every parameter of a model in one pass over memory. Each parameter group has a rule of its own
/// (SGD, RMSProp, Adam, AdamW, or your own): rules of different types may stand side by side, and one clip,
/// one loss scaler and one decision to skip span all of them.
///
/// The caller owns the memory of the parameters, which must all be on one device. The optimizer owns the
/// states and step counts, on the same device, unless the caller gives memory for them (Parameter::streams).
/// On CUDA a step is one launch for each type of rule, one for each program (a rule with its optional states,
/// in one storage format), and one if it measures the gradients (clipping by norm, a loss scaler, or a test
/// for Inf and NaN), whatever the number of tensors and groups. With one rule and one format that makes two
/// launches, or three. A rule with sums over tensors, such as LAMB, has twice as many of its own.
///
/// Move-only. Do not call one optimizer from two host threads at once. Two optimizers may step at the same
/// time, on two CUDA streams. If you call one optimizer on several CUDA streams, you must order the calls,
/// for example with an event. The destructor waits for the optimizer's last step.
///
/// Every call throws InvalidArgument on bad input, having changed nothing, and CudaError if a CUDA call
/// fails.
class Optimizer {
 public:
  /// Registers the parameters. `rules`: a rule for all of them, or a list or vector of rules, one for each
  /// group; Parameter::group selects one. Allocates the states, masters and averages, gives them their first
  /// contents on the device, or by the threads that will step them, and waits until that is done.
  ///
  /// Throws InvalidArgument if a hyperparameter or an option is out of range, a group has no rule, or a
  /// parameter does not fit: Parameter says which ones do.
  template <ParameterRange Parameters>
  Optimizer(const Rules& rules, Parameters&& parameters, const Options& options = {})
      : Optimizer(rules.all(), collect(parameters), options, Collected{}) {}
  ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  /// Returns, for each parameter, every stream that an optimizer with these arguments would keep, in the
  /// order of the rule's states, master or remainder, "ema", "gradient_sum" and "step". Name, group, and the
  /// value's numel and dtype matter; the memory need not exist. "step" is said to be an int64, and may be a
  /// float32. Throws InvalidArgument as the constructor does. Does not wait.
  template <ParameterRange Parameters>
  [[nodiscard]] static std::vector<RequiredMemory> required_memory(const Rules& rules,
                                                                   Parameters&& parameters,
                                                                   const Options& options = {}) {
    return required_memory(rules.all(), collect(parameters), options, Collected{});
  }

  /// Updates every parameter that has a gradient. Asynchronous on `stream`. A step never waits for the device
  /// and never allocates, so you can capture it in a CUDA graph. Capture again after add_parameters() and
  /// remove_parameters(), and do not destroy or move anything that a graph still replays.
  void step(Stream stream = {});

  /// Steps some parameters, for a backward pass that frees each gradient as soon as it is used. A *round* is
  /// calls of this for disjoint sets of parameters, in any order, and then end_round(). Each call reads the
  /// gradients of its own parameters alone: those of others may be null, stale or freed. `which`: numbers of
  /// parameters in the order of registration, or names.
  ///
  /// Without clipping by norm, or with ClipGradNorm::per_parameter, a round over all parameters gives the
  /// bits of one step(). With another clip, the round clips by the last norm that a round or step measured,
  /// because its own is only known at its end; it does not clip if there is none yet, or that norm is not
  /// finite. If steps skip what is not finite, a call whose own parameters have such a gradient changes none
  /// of these, and nothing else. Schedules follow the step count of each parameter. Loss scale and weights of
  /// micro-batches are the same for the whole round.
  ///
  /// Asynchronous; the launches of a step() over these parameters. The first call with a set of parameters
  /// allocates a list of their chunks and waits, so make it before you capture a graph. Throws
  /// InvalidArgument if there is no such parameter, one is given twice in a round, or the set is new while
  /// `stream` is captured. In the middle of a round step(), measure(), accumulate(), add_parameters(),
  /// remove_parameters(), state_dict() and their kin throw InvalidArgument.
  void step_some(std::span<const std::size_t> which, Stream stream = {});
  /// The same with names.
  void step_some(std::span<const std::string> which, Stream stream = {});
  /// Ends a round: keeps the norm of the gradients that it has stepped by, as grad_norm() returns it and the
  /// next round clips by, moves the loss scale, and counts one step; or a skipped one if every call was
  /// skipped. The loss scale backs off if any was. Accumulated gradients of parameters that the round left
  /// out are dropped. A round without calls counts nothing. Asynchronous; one launch on CUDA.
  void end_round(Stream stream = {});

  /// Takes a pass over the parameters that is no step, which some rules have: update_hessian of SophiaG. It
  /// reads the gradients, and takes loss scale and sign out of them; it does not clip, decay or count. Leaves
  /// out other rules' parameters and null gradients, and all if steps skip what is not finite and a gradient
  /// is not. Asynchronous; as step_some(), its first call allocates. Throws InvalidArgument if no rule has a
  /// sweep of this name, if gradients are accumulated, and in a round.
  void sweep(std::string_view name, Stream stream = {});

  /// Fills every gradient with zeros. Asynchronous on `stream`; one launch on CUDA.
  void zero_grad(Stream stream = {});

  /// Number of parameter groups.
  [[nodiscard]] std::size_t group_count() const;
  /// Returns the rule of a group with its hyperparameters, as last set. Throws InvalidArgument if there is no
  /// such group.
  [[nodiscard]] const Rule& rule(std::size_t group = 0) const;
  /// Returns the rule of a group as its own type. Throws InvalidArgument if there is no such group, or its
  /// rule is another one.
  template <ElementwiseRule R>
  [[nodiscard]] const R& rule(std::size_t group = 0) const {
    return rule(group).template as<R>();
  }

  /// Sets the learning rate of all groups. Asynchronous: it takes effect for steps queued on `stream` after
  /// this call, including replays of a captured graph. Throws InvalidArgument if lr is out of range, or with
  /// it a coefficient of a rule is not finite in float32, now or at a rate that the group's schedule sets.
  void set_lr(double lr, Stream stream = {});
  /// Sets the learning rate of one group; otherwise as above. Throws InvalidArgument if there is no such
  /// group.
  void set_lr(double lr, std::size_t group, Stream stream = {});

  /// Replaces all hyperparameters of a group. Asynchronous, with the effect of set_lr(). Throws
  /// InvalidArgument if the group has another rule, if a hyperparameter is out of range, or if the new ones
  /// need other states than the group was made with. A momentum may become 0 and return.
  void set_rule(const Rule& rule, std::size_t group = 0, Stream stream = {});

  /// Makes the learning rate of all groups follow a schedule over the steps taken.
  ///
  /// The rule's lr becomes the base rate that the schedule is applied to, and set_lr() changes that base
  /// rate. Schedule{} removes the schedule.
  ///
  /// Copies the schedule to the device and waits for the optimizer's last step. Throws InvalidArgument if the
  /// schedule drives a momentum and the rule has none, or the optimizer keeps no state for it, or if it sets
  /// a rate with which a coefficient of the rule is not finite in float32. The ends and peaks of its parts
  /// are checked; a factor above 1 that acts at every step overflows at some later step.
  void set_schedule(const Schedule& schedule);
  /// The same for one group. Throws InvalidArgument also if there is no such group.
  void set_schedule(const Schedule& schedule, std::size_t group);
  /// Returns the schedule of a group, as last set. Throws InvalidArgument if there is no such group.
  [[nodiscard]] const Schedule& schedule(std::size_t group = 0) const;
  /// Returns the learning rate of a group's next step, with its schedule applied. Waits for `stream`.
  [[nodiscard]] double lr(std::size_t group = 0, Stream stream = {}) const;

  /// Replaces the gradients, one Tensor for each parameter in the order of registration. A Tensor whose data
  /// is null leaves its parameter, with its states and step count, out of the following steps. Asynchronous:
  /// it takes effect for steps queued on `stream` after this call, including replays of a captured graph. It
  /// patches only the pointers that changed. Throws InvalidArgument as the constructor does, and if steps
  /// zero the gradients and two of them share memory.
  void set_gradients(std::span<const Tensor> gradients, Stream stream = {});

  /// Replaces the memory of parameters: their values, gradients, copies and given streams. Each is found by
  /// its name, and the others stay as they are. You have moved the contents; nothing is copied. Asynchronous:
  /// it takes effect for steps queued on `stream` after this call, including replays of a captured graph. It
  /// patches only the stretch of the table that changed, and the optimizer is not built anew. Throws
  /// InvalidArgument as the constructor does, and if there is no such parameter, a name occurs twice, or a
  /// parameter comes with another numel, dtype, group or `first`, or with a copy of another type or where it
  /// had none, or with other given streams than it was registered with. A gradient may change as in
  /// set_gradients().
  template <ParameterRange Parameters>
  void set_memory(Parameters&& parameters, Stream stream = {}) {
    move_parameters(collect(parameters), stream);
  }

  /// Sets what steps do with the gradients before the rule: clipping, unscaling, the policy for Inf and NaN,
  /// zeroing. Asynchronous: it takes effect for steps queued on `stream` after this call, including replays
  /// of a captured graph.
  ///
  /// GradientHandling says what a captured graph and the loss scale make of a change. Throws InvalidArgument
  /// if a value is out of range, a pointer is on another device, or zero_grad is on and gradients share
  /// memory.
  void set_gradient_handling(const GradientHandling& handling, Stream stream = {});
  /// Returns the gradient handling, as last set.
  [[nodiscard]] const GradientHandling& gradient_handling() const;

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
  void accumulate(Stream stream = {}) { accumulate(MicroBatch{}, stream); }
  /// The same for a micro-batch with a weight, for example its number of tokens. The step divides by the sum
  /// of the weights, where accumulate(stream) weighs 1. Micro-batches of weight 0 count as no call. Throws
  /// InvalidArgument also if the weight is out of range or its pointer is on another device.
  void accumulate(const MicroBatch& micro_batch, Stream stream = {});
  /// Drops all micro-batches since the last step, as if accumulate() had not been called since. Asynchronous
  /// on `stream`; a few small launches on CUDA, which a graph can capture. Throws InvalidArgument as
  /// accumulate() does.
  void drop_accumulated(Stream stream = {});
  /// Returns the number of micro-batches that MicroBatch::drop_nonfinite has dropped. Waits for `stream`.
  [[nodiscard]] std::int64_t dropped_micro_batches(Stream stream = {}) const;

  /// Measures the gradients and writes the result as integers, which shards of a model combine by one
  /// all-reduce before step_measured(). Every shard then sees the norm of all gradients and takes the same
  /// decision to skip. Changes nothing else.
  ///
  /// `into`: measure_numel() elements of int64 on the optimizer's device. The L1 and L2 norms take 22 of
  /// them: 20 digits of 32 bits of a fixed-point number whose lowest bit weighs 2^-298, then 1 if a gradient
  /// is infinite, and 1 if one is NaN. Add up those of all shards (at most 2^31): no sum overflows. The
  /// infinity norm takes one element, the bits of a double: take the maximum. With ClipGradNorm::per_group
  /// each group has its own, in their order. With ClipGradNorm::per_parameter each parameter has, and then
  /// all gradients together: all shards register the same parameters in the same order, and a part may be
  /// empty.
  ///
  /// With accumulation the sums of the micro-batches are measured. Loss scale and weights are not applied, so
  /// they must be the same for all shards. Asynchronous on `stream`; two launches on CUDA, which a graph can
  /// capture: capture again after a change of norm_type, per_group or per_parameter. Throws InvalidArgument
  /// if steps measure nothing (no clip_norm, no loss scaler, NonFinite::propagate), or `into` has another
  /// numel, dtype or device, or is not aligned to 8 bytes.
  void measure(const Tensor& into, Stream stream = {});
  /// Returns the number of elements that measure() writes.
  [[nodiscard]] std::int64_t measure_numel() const;
  /// The same as step(), with a measure of the gradients that was taken before: that of measure(), combined
  /// over all shards. It is read when the step runs, in one small launch in place of the one that measures.
  /// Norm, clipping, skipping, loss scalers and grad_norm() follow it. check() names the element that was not
  /// finite on the shard that has it, and says on the others that another shard had it. Throws
  /// InvalidArgument as measure() does.
  void step_measured(const Tensor& measure, Stream stream = {});

  /// Begins a step of shards whose rules take sums over tensors, or the model (rule/sums.hpp): does all that
  /// step() does before the update, and writes the sums over this shard's part of each tensor to `into`,
  /// sums_numel() elements of int64 on the optimizer's device. Add up those of all shards by one all-reduce,
  /// and call finish_step(): every shard then has the bits of one optimizer over whole tensors. All shards
  /// register the same parameters in the same order; a part may be empty. `measure`: that of step_measured(),
  /// where steps measure gradients and shards have measured them together. Asynchronous; a graph can capture
  /// both. Until finish_step(), calls throw InvalidArgument that do so in a round. Throws InvalidArgument if
  /// no rule takes sums, and as step_measured() does.
  void begin_step(const Tensor& into, Stream stream = {});
  void begin_step(const Tensor& measure, const Tensor& into, Stream stream = {});
  /// Ends the step. Throws InvalidArgument if none was begun, and as begin_step() does.
  void finish_step(const Tensor& sums, Stream stream = {});
  /// Returns the number of elements that begin_step() writes: 67 for each parameter, then 67 for each type of
  /// rule if one sums over the model; or 0 if no rule takes sums.
  [[nodiscard]] std::int64_t sums_numel() const;

  /// Moves the parameters as `sam` says (regularizers/sam.hpp), and keeps their bits until restore() or the
  /// next step. Asynchronous; two launches on CUDA. Throws InvalidArgument as that file says.
  void perturb(const Sam& sam, Stream stream = {});
  /// Puts every parameter and copy back, bit for bit. Every step does so first. Asynchronous; one launch.
  void restore(Stream stream = {});
  /// In place of perturb(), for shards: writes this shard's sum of squares, 22 int64 as of an L2 norm by
  /// measure(). Add up those of all shards and give them to perturb_measured().
  void measure_perturbation(const Sam& sam, const Tensor& into, Stream stream = {});
  void perturb_measured(const Sam& sam, const Tensor& measure, Stream stream = {});

  /// Returns the norm of all gradients at the last step that measured it (a step with clip_norm, whether or
  /// not it clipped), unscaled and before clipping. It is 0 before the first such step. Waits for `stream`.
  [[nodiscard]] double grad_norm(Stream stream = {}) const;
  /// Returns the norm of a group's gradients at the last step that clipped by group
  /// (ClipGradNorm::per_group), unscaled and before clipping; 0 before the first. Waits for `stream`. Throws
  /// InvalidArgument if there is no such group.
  [[nodiscard]] double grad_norm(std::size_t group, Stream stream = {}) const;
  /// Returns the same of a parameter's gradient (ClipGradNorm::per_parameter); 0 also if it had none.
  [[nodiscard]] double grad_norm(std::string_view parameter, Stream stream = {}) const;
  /// Queues a copy of the norm of all gradients to the host, in the order of `stream`. Asynchronous.
  void fetch_grad_norm(Stream stream = {});
  /// Returns the norm that the last completed fetch_grad_norm() brought, without waiting; NaN before the
  /// first.
  [[nodiscard]] double fetched_grad_norm() const;

  /// Returns the sum of the penalties over all parameters: 0.5 * weight_decay * p^2 (in groups with coupled
  /// decay) plus l1 * |p|. This is the amount that they add to the loss. It is summed in double, in the order
  /// of ClipGradNorm's norm, and is finite just if all parameters are. Terms below 2^-298, or 2^-269 times
  /// the largest coefficient, are cut off. Waits for `stream`.
  [[nodiscard]] double penalty(Stream stream = {}) const;

  /// Returns a pointer to one float on the parameters' device: the factor by which you multiply the loss. A
  /// loss scaler's steps change it in place. The pointer is valid until add_parameters() or
  /// remove_parameters(), or as long as the SharedLossScaler, if one is attached.
  [[nodiscard]] const float* loss_scale_pointer() const;
  /// Returns the current loss scale, of the SharedLossScaler if one is attached. Waits for `stream`.
  [[nodiscard]] float loss_scale(Stream stream = {}) const;

  /// Throws NonFiniteGradient if the policy is NonFinite::error and a step since the last call found a
  /// gradient that is not finite, or a loss scale that it could not divide by; the message names the first
  /// one. Throws InvalidArgument if a step since the last call left out a parameter because of what the
  /// caller's counter held (GivenStream); the message names the first one. Waits for `stream`.
  void check(Stream stream = {});

  /// Adds parameters, whose first step is step 1. Waits for the device. Throws InvalidArgument as the
  /// constructor and set_gradients() do.
  template <ParameterRange Parameters>
  void add_parameters(Parameters&& parameters) {
    register_parameters(collect(parameters));
  }

  /// Removes parameters, with their states and step counts. All others keep theirs, and the counts of the
  /// optimizer go on. Gradients that were accumulated for a removed parameter are dropped. An optimizer
  /// without parameters counts its steps and steps nothing. A parameter that is added again begins anew, at
  /// step 1.
  ///
  /// Each registration (the constructor's, and each add_parameters()) allocated the states of its parameters
  /// together: that memory is freed when the last of them is removed. The parameter's own memory is no longer
  /// used when the call returns. Waits for the device. Capture graphs again after this call. Throws
  /// InvalidArgument if there is no such parameter, or a name occurs twice.
  void remove_parameters(std::span<const std::string> names);
  void remove_parameters(std::initializer_list<std::string> names) {
    remove_parameters(std::span(names.begin(), names.size()));
  }

  /// Returns the bytes that the model and its optimizer take in memory, per stream and summed over all
  /// parameters, whoever owns the memory. Tables, counters and schedules, which take a few bytes per tensor,
  /// are not included.
  [[nodiscard]] std::vector<StreamBytes> memory() const;
  /// Returns the bytes that a step reads and writes, likewise; of what every k-th step moves, the k-th part.
  [[nodiscard]] std::vector<StreamBytes> traffic() const;

  /// Device of all parameters and states.
  [[nodiscard]] Device device() const;
  /// Number of registered parameters (tensors).
  [[nodiscard]] std::size_t parameter_count() const;
  /// Returns PyTorch's names of the states that parameters have, such as "exp_avg": those of all groups.
  [[nodiscard]] std::span<const char* const> state_names() const;
  /// Returns the names of the states of one parameter. Throws InvalidArgument if there is no such parameter.
  [[nodiscard]] std::span<const char* const> state_names(std::string_view parameter) const;
  /// Returns a view of a state's memory on the optimizer's device: of its own, or of what the caller gave.
  /// The master or remainder, the average "ema", and the scales of a state of 8 bits ("exp_avg.scales") are
  /// states too. You may read and write it, ordered with the steps on their CUDA stream. Throws
  /// InvalidArgument if there is no such parameter or state.
  [[nodiscard]] Tensor state(std::string_view parameter, std::string_view state);
  /// Returns the number of steps that a parameter has taken, as the caller's counter has it if there is one.
  /// Waits for `stream`. Throws InvalidArgument if there is no such parameter, or its counter holds no whole
  /// number from 0 to 2^24 (float32) or 2^53 (int64).
  [[nodiscard]] std::int64_t step_count(std::string_view parameter, Stream stream = {}) const;
  /// Returns the number of steps that the optimizer has taken, skipped steps excluded. Waits for `stream`.
  [[nodiscard]] std::int64_t steps(Stream stream = {}) const;
  /// Returns the number of steps that were skipped because of found_inf or a gradient that was not finite.
  /// Waits for `stream`.
  [[nodiscard]] std::int64_t skipped_steps(Stream stream = {}) const;

  /// Copies all states, counts, accumulated gradients, the loss scale, hyperparameters and schedules to the
  /// host, bit for bit. Waits for `stream`.
  [[nodiscard]] StateDict state_dict(Stream stream = {}) const;
  /// Restores a state dict: the optimizer continues exactly as the saved one would have. It restores the loss
  /// scale only if both have a loss scaler, so call set_gradient_handling() first. Waits for `stream`. Throws
  /// InvalidArgument unless both have the same rules, groups, parameters (by name, in any order), sizes and
  /// states.
  void load_state_dict(const StateDict& dict, Stream stream = {});
  /// Restores a state dict of a part of the model, or of a larger model, and returns the names that only one
  /// side has. `options` say for each side whether such parameters are refused. All that both have must fit,
  /// as above. A parameter that the dict lacks keeps its states and its step count; everything else is
  /// restored from the dict: hyperparameters and schedules (if it has them), the count of all steps, the loss
  /// scale and the seed. Throws InvalidArgument also if a parameter is missing and the dict has accumulated
  /// another number of micro-batches than the optimizer, because the mean divides all sums by one number.
  LoadedDict load_state_dict(const StateDict& dict, const LoadOptions& options, Stream stream = {});

  struct Impl;                                               ///< Private to the library's sources.
  [[nodiscard]] Impl& core() { return *impl_; }              ///< Likewise.
  [[nodiscard]] const Impl& core() const { return *impl_; }  ///< Likewise.

 private:
  struct Collected {};

  Optimizer(const std::vector<Rule>& rules, std::vector<Parameter> parameters, const Options& options,
            Collected /*tag*/);

  static std::vector<RequiredMemory> required_memory(const std::vector<Rule>& rules,
                                                     const std::vector<Parameter>& parameters,
                                                     const Options& options, Collected tag);
  void register_parameters(std::vector<Parameter> parameters);
  void move_parameters(const std::vector<Parameter>& moved, Stream stream);

  template <class Change>
  void change_handling(Change change, Stream stream) {
    GradientHandling handling = gradient_handling();
    change(handling);
    set_gradient_handling(handling, stream);
  }

  std::unique_ptr<Impl> impl_;
};

}  // namespace onepass
