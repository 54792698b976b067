// decide_step.hpp - decides once per step whether and how tensors are updated, and which tensors take part.
#pragma once

#include <cstdint>

#include "step/global.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// The decisions of one step that hold for every tensor.
struct StepPlan {
  bool skipped;             ///< The step updates nothing and counts as skipped.
  bool no_gradients_yet;    ///< No micro-batch has been accumulated: the step changes and counts nothing.
  double norm;              ///< Norm of the gradients after unscaling; 0 if it was not measured.
  std::uint64_t nonfinite;  ///< First measured element that was not finite, kLossScale, or kNowhere.
  double unscale;           ///< Factor of the gradients before clipping.
  rule::GradientScale scale;
};

/// Returns the factor, at most 1, that brings the norm of the gradients down to max_norm; NaN if the norm is
/// NaN.
ONEPASS_LANE double clip_coefficient(const Settings& settings, double norm) {
  if (norm <= settings.max_norm && settings.norm_eps == 0.0) return 1.0;
  if (settings.max_norm > 0x1p1023) return 1.0;
  const double coefficient = settings.max_norm / (norm + settings.norm_eps);
  return coefficient > 1.0 ? 1.0 : coefficient;
}

/// Returns the norm that a reduction measured, of the gradients times `unscale`.
ONEPASS_LANE double norm_of(const Reduction& gradients, Measure measure, double unscale) {
  const double measured = value_of(gradients, measure);
  return unscale * (is_of_squares(measure) ? lane::sqrt(measured) : measured);
}

/// Returns the scale of the gradients that the step reads. Micro-batches with a shared one have all been
/// brought to that of the first.
ONEPASS_LANE double loss_scale_of(const Table& table) {
  const Settings& settings = table.control->settings;
  const Progress& progress = table.control->progress;
  if (settings.grad_scale != nullptr) return *declared_global(settings.grad_scale);
  if (settings.shared_scale == nullptr) return progress.loss_scale.value;
  if (table.incoming != nullptr && progress.window_scale != 0.0f) return progress.window_scale;
  return declared_global(settings.shared_scale)->scale.value;
}

/// Returns the factor that takes the loss scale and the weights of micro-batches out of the gradients.
ONEPASS_LANE double unscale_of(const Table& table) {
  const bool accumulates = table.incoming != nullptr;
  return 1.0 / (loss_scale_of(table) * (accumulates ? table.control->progress.accumulated_weight : 1.0));
}

/// Returns what a part of a round multiplies its gradients by, to clip them by the norm of the round before.
/// If that is not finite, or there was none and it is 0, they are not clipped.
ONEPASS_LANE double part_coefficient(const Settings& settings, double norm) {
  return norm > 0.0 && norm <= __DBL_MAX__ ? clip_coefficient(settings, norm) : 1.0;
}

/// Decides from the contents of memory when the step runs. Changes nothing, because every thread block of
/// prepare calls it.
ONEPASS_LANE StepPlan plan_step(const Table& table) {
  const Settings& settings = table.control->settings;
  const Progress& progress = table.control->progress;
  const Reduction& gradients = table.control->gradients;

  const bool accumulates = table.incoming != nullptr;
  const double unscale = unscale_of(table);

  StepPlan plan{.skipped = false,
                .no_gradients_yet = accumulates && progress.micro_batches == 0,
                .norm = 0.0,
                .nonfinite = kNowhere,
                .unscale = unscale,
                .scale = {unscale, settings.max_value}};
  if (settings.measures_gradients != 0) {
    plan.norm = is_part(table) ? progress.grad_norm : norm_of(gradients, settings.norm, unscale);
    plan.scale.factor = unscale * (is_part(table) ? part_coefficient(settings, plan.norm)
                                                  : clip_coefficient(settings, plan.norm));
    // A scale in the caller's memory may be 0, not finite, or so small that its inverse overflows float32. No
    // unscaled gradient is right then.
    const bool unscales = lane::abs(unscale) > 0.0 && lane::abs(unscale) <= double{__FLT_MAX__};
    plan.nonfinite = unscales ? gradients.first_nonfinite : kLossScale;
    plan.skipped = settings.skips_nonfinite != 0 && plan.nonfinite != kNowhere;
  }
  if (settings.found_inf != nullptr && *declared_global(settings.found_inf) != 0.0f) plan.skipped = true;
  plan.skipped = plan.skipped && !plan.no_gradients_yet;
  return plan;
}

/// Keeps the norm of a tensor's gradient and empties its measure. Prepare calls this for every tensor that
/// the step is for, before it asks for its scale.
ONEPASS_LANE void take_norm(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  const Settings& settings = table.control->settings;
  if (settings.clips_by_parameter == 0) return;
  Reduction& gradient = table.tensor_gradients[tensor];
  if (table.sweeps == 0 && !plan.no_gradients_yet) {
    table.tensor_norms[tensor] = norm_of(gradient, settings.norm, plan.unscale);
  }
  gradient = Reduction::none();
}

/// Returns what the step does to the gradients of a tensor, after take_norm().
ONEPASS_LANE rule::GradientScale scale_of(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  const Settings& settings = table.control->settings;
  if (settings.clips_by_parameter != 0) {
    return {plan.unscale * clip_coefficient(settings, table.tensor_norms[tensor]), settings.max_value};
  }
  if (settings.clips_by_group == 0) return plan.scale;
  const std::uint32_t group = table.tensors[tensor].group;
  if (is_part(table)) {
    return {plan.unscale * part_coefficient(settings, table.group_norms[group]), settings.max_value};
  }
  const double norm = norm_of(table.group_gradients[group], settings.norm, plan.unscale);
  return {plan.unscale * clip_coefficient(settings, norm), settings.max_value};
}

/// Works like torch.amp.GradScaler: the scale backs off after a step that was skipped or had a micro-batch
/// dropped, and grows after growth_interval steps without either, unless it would exceed max_scale. It does
/// not fall below min_scale. A scale from outside these bounds, as they may change and scales are loaded,
/// comes to the nearer bound.
ONEPASS_LANE void update_loss_scale(const Settings& settings, bool skipped, LossScale& scale) {
  if (settings.growth_interval == 0) return;
  if (skipped) {
    scale.value = static_cast<float>(scale.value * settings.backoff_factor);
    scale.growth_tracker = 0;
  } else if (++scale.growth_tracker >= settings.growth_interval) {
    const float grown = static_cast<float>(scale.value * settings.growth_factor);
    if (grown <= settings.max_scale) scale.value = grown;
    scale.growth_tracker = 0;
  }
  if (scale.value < settings.min_scale) scale.value = settings.min_scale;
  if (scale.value > settings.max_scale) scale.value = settings.max_scale;
}

/// Sets a flag that several optimizers may set at the same time.
ONEPASS_LANE void raise(std::uint32_t& flag) {
#ifdef __CUDA_ARCH__
  atomicOr(&flag, 1u);
#else
  __atomic_store_n(&flag, 1u, __ATOMIC_RELAXED);
#endif
}

/// Ends a round of a SharedLossScaler.
ONEPASS_LANE void update_shared_scale(SharedScale& shared) {
  if (shared.stepped == 0) return;
  update_loss_scale(shared.settings, shared.overflowed != 0, shared.scale);
  shared.stepped = 0;
  shared.overflowed = 0;
}

/// Tells the loss scaler what a step has found: the optimizer's own at once, a shared one until its update.
ONEPASS_LANE void report(Control& control, bool overflowed) {
  update_loss_scale(control.settings, overflowed, control.progress.loss_scale);
  if (control.settings.shared_scale == nullptr) return;
  SharedScale& shared = *declared_global(control.settings.shared_scale);
  if (overflowed) raise(shared.overflowed);
  raise(shared.stepped);
}

/// Keeps the norm of each group and empties its measure, after every tensor is prepared. Each of `threads`
/// threads calls this once and concludes its share of the groups.
ONEPASS_LANE void conclude_groups(const Table& table, const StepPlan& plan, std::int64_t thread,
                                  std::int64_t threads) {
  const Settings& settings = table.control->settings;
  if (settings.clips_by_group == 0) return;
  for (std::int64_t group = thread; group < table.group_count; group += threads) {
    Reduction& gradients = table.group_gradients[group];
    if (is_part(table)) {
      if (!plan.skipped && table.sweeps == 0) add(table.group_rounds[group], gradients);
    } else if (!plan.no_gradients_yet) {
      table.group_norms[group] = norm_of(gradients, settings.norm, plan.unscale);
    }
    gradients = Reduction::none();
  }
}

/// Returns the place of an element of a part among all pieces of the model, from its place among those of
/// the part.
ONEPASS_LANE std::uint64_t place_in_model(const Table& table, std::uint64_t place) {
  if (!is_part(table) || place >= kElsewhere) return place;
  const auto piece = table.pieces[place / kReduceChunk];
  std::int64_t before = piece.index;
  for (std::uint32_t t = 0; t < piece.tensor; ++t) {
    before += (table.tensors[t].numel + kReduceChunk - 1) / kReduceChunk;
  }
  return static_cast<std::uint64_t>(before) * kReduceChunk + place % kReduceChunk;
}

/// Remembers for check() where a gradient was not finite.
ONEPASS_LANE void remember_nonfinite(const Table& table, std::uint64_t place) {
  Control& control = *table.control;
  if (control.settings.remembers_nonfinite == 0 || control.progress.nonfinite != kNowhere) return;
  control.progress.nonfinite = place_in_model(table, place);
}

/// Tells the loss scaler how a step or a round has ended, and counts it. `is_empty`: it had no gradients.
ONEPASS_LANE void count(Control& control, bool overflowed, bool skipped, bool is_empty) {
  Progress& progress = control.progress;
  overflowed = overflowed || progress.dropped_since_step != 0;
  if (overflowed || !is_empty) report(control, overflowed);
  progress.dropped_since_step = 0;
  if (is_empty) return;
  ++(skipped ? progress.skipped : progress.steps);
  progress.micro_batches = 0;
  progress.accumulated_weight = 0.0;
  progress.window_scale = 0.0f;
}

/// Counts a part of a round. end_round() tells the loss scaler.
ONEPASS_LANE void conclude_part(const Table& table, const StepPlan& plan) {
  Control& control = *table.control;
  if (control.settings.measures_gradients != 0) {
    if (!plan.skipped) add(control.round, control.gradients);
    control.gradients = Reduction::none();
  }
  if (plan.no_gradients_yet) return;
  ++control.progress.round_parts;
  if (plan.skipped) ++control.progress.round_skipped;
  remember_nonfinite(table, plan.nonfinite);
}

/// Ends a sweep: forgets what was measured for it.
ONEPASS_LANE void conclude_sweep(const Table& table, const StepPlan& plan) {
  Control& control = *table.control;
  if (control.settings.measures_gradients != 0) control.gradients = Reduction::none();
  remember_nonfinite(table, plan.nonfinite);
}

/// Counts the step. Exactly one thread calls this, after every tensor is prepared.
ONEPASS_LANE void conclude_step(const Table& table, const StepPlan& plan) {
  if (table.sweeps != 0) return conclude_sweep(table, plan);
  if (is_part(table)) return conclude_part(table, plan);
  Control& control = *table.control;
  if (control.settings.measures_gradients != 0) control.gradients = Reduction::none();
  if (!plan.no_gradients_yet) {
    if (control.settings.measures_gradients != 0) control.progress.grad_norm = plan.norm;
    remember_nonfinite(table, plan.nonfinite);
  }
  count(control, plan.skipped, plan.skipped, plan.no_gradients_yet);
}

/// Keeps the norm that the round has of each group, and drops the sums of tensors that it left out. Each of
/// `threads` threads calls this once; all of them are done before end_round().
ONEPASS_LANE void end_round_of_groups(const Table& table, std::int64_t thread, std::int64_t threads) {
  const Settings& settings = table.control->settings;
  if (table.control->progress.round_parts == 0) return;
  const double unscale = unscale_of(table);
  for (std::int64_t group = thread; group < table.group_count; group += threads) {
    if (settings.clips_by_group != 0) {
      table.group_norms[group] = norm_of(table.group_rounds[group], settings.norm, unscale);
    }
    table.group_rounds[group] = Reduction::none();
  }
  for (std::int64_t t = thread; table.incoming != nullptr && t < table.tensor_count; t += threads) {
    table.accumulated[t] = 0;
  }
}

/// Ends a round: keeps its norm, tells the loss scaler, and counts it as a step, or as a skipped one if all
/// its parts were skipped. One thread calls this.
ONEPASS_LANE void end_round(const Table& table) {
  Control& control = *table.control;
  Progress& progress = control.progress;
  const bool is_empty = progress.round_parts == 0;
  if (!is_empty && control.settings.measures_gradients != 0) {
    progress.grad_norm = norm_of(control.round, control.settings.norm, unscale_of(table));
  }
  count(control, progress.round_skipped != 0, progress.round_skipped == progress.round_parts, is_empty);
  control.round = Reduction::none();
  progress.round_parts = 0;
  progress.round_skipped = 0;
}

/// Returns the weight that a micro-batch comes with.
ONEPASS_LANE float offered_weight(const MicroBatch& batch) {
  if (batch.weight_pointer == nullptr) return batch.weight;
  const float weight = *declared_global(batch.weight_pointer);
  return weight > 0.0f && weight <= __FLT_MAX__ ? weight : 0.0f;
}

/// Returns the factor by which the gradients of a micro-batch are added: its weight, and what brings them
/// from the shared loss scale to that of the window's first micro-batch. Returns 0 if they are left out.
ONEPASS_LANE float factor_of(const Table& table, const MicroBatch& batch) {
  const Control& control = *table.control;
  if (batch.drops_nonfinite != 0 && control.gradients.first_nonfinite != kNowhere) return 0.0f;
  const float weight = offered_weight(batch);
  const Progress& progress = control.progress;
  if (control.settings.shared_scale == nullptr || progress.micro_batches == 0 ||
      progress.window_scale == 0.0f)
    return weight;
  const double present = declared_global(control.settings.shared_scale)->scale.value;
  return static_cast<float>(static_cast<double>(weight) * (progress.window_scale / present));
}

/// Counts a micro-batch, or that it was dropped, after every gradient has been added times `factor`. Each of
/// `threads` threads calls this once and counts its share of the tensors.
ONEPASS_LANE void count_micro_batch(const Table& table, const MicroBatch& batch, float factor,
                                    std::int64_t thread, std::int64_t threads) {
  Control& control = *table.control;
  Progress& progress = control.progress;
  if (factor != 0.0f) {
    for (std::int64_t t = thread; t < table.tensor_count; t += threads) {
      if (table.incoming[t] != nullptr) ++table.accumulated[t];
    }
  }
  if (thread != 0) return;
  if (batch.drops_nonfinite != 0) control.gradients = Reduction::none();
  const float weight = offered_weight(batch);
  if (factor != 0.0f) {
    if (progress.micro_batches == 0) {
      const SharedScale* const shared = control.settings.shared_scale;
      progress.window_scale = shared != nullptr ? declared_global(shared)->scale.value : 0.0f;
    }
    ++progress.micro_batches;
    progress.accumulated_weight += static_cast<double>(weight);
  } else if (weight != 0.0f) {
    ++progress.dropped;
    ++progress.dropped_since_step;
  }
}

/// Returns whether a tensor takes part in the step. Also marks its sum of gradients as used, so that the next
/// micro-batch overwrites it.
ONEPASS_LANE bool takes_part(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  bool has_gradient = table.grads[tensor] != nullptr;
  if (table.incoming != nullptr) {
    has_gradient = table.accumulated[tensor] != 0;
    table.accumulated[tensor] = 0;
  }
  return has_gradient && !plan.skipped && !plan.no_gradients_yet;
}

/// Returns the count that a counter in the caller's memory holds, or -1 if it holds none that a step can add
/// 1 to.
ONEPASS_LANE std::int64_t count_in(const Counter& counter) {
  if (counter.is_int64 != 0) {
    const std::int64_t count = *declared_global(static_cast<const std::int64_t*>(counter.at));
    return count >= 0 && count < schedule::kMostSteps ? count : -1;
  }
  const float count = *declared_global(static_cast<const float*>(counter.at));
  if (!(count >= 0.0f && count < static_cast<float>(kMostFloat32Steps))) return -1;
  const auto whole = static_cast<std::int64_t>(count);
  return static_cast<float>(whole) == count ? whole : -1;
}

/// Lowers a number that several threads may lower at the same time.
ONEPASS_LANE void lower(std::uint64_t& number, std::uint64_t to) {
#ifdef __CUDA_ARCH__
  atomicMin(reinterpret_cast<unsigned long long*>(&number), static_cast<unsigned long long>(to));
#else
  if (to < number) number = to;
#endif
}

/// Counts a step of a tensor. Returns false, having counted nothing, if the caller's counter holds no count:
/// the step must then leave the tensor out.
ONEPASS_LANE bool count_step(const Table& table, std::int64_t tensor) {
  std::int64_t& steps = table.steps[tensor];
  if (table.counters == nullptr || table.counters[tensor].at == nullptr) {
    ++steps;
    return true;
  }
  const Counter counter = table.counters[tensor];
  const std::int64_t count = count_in(counter);
  if (count < 0) {
    lower(table.control->progress.miscounted, static_cast<std::uint64_t>(tensor));
    return false;
  }
  steps = count + 1;
  if (counter.is_int64 != 0) {
    *declared_global(static_cast<std::int64_t*>(counter.at)) = steps;
  } else {
    *declared_global(static_cast<float*>(counter.at)) = static_cast<float>(steps);
  }
  return true;
}

/// Returns whether the update overwrites the tensor's gradient with zeros.
ONEPASS_LANE bool zeroes_gradient(const Table& table, std::int64_t tensor) {
  return table.control->settings.zeroes_gradients != 0 && table.incoming == nullptr &&
         table.grads[tensor] != nullptr;
}

/// Marks a tensor as not taking part in this step. Its gradient may still be zeroed.
ONEPASS_LANE void leave_out(const Table& table, std::int64_t tensor) {
  step_of(table, tensor).active = false;
  step_of(table, tensor).zero_grad = zeroes_gradient(table, tensor);
}

}  // namespace onepass::step
