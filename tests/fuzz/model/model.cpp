// model.cpp - see model.hpp.
#include "fuzz/model/model.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "fuzz/model/numbers.hpp"
#include "reference/gradients.hpp"

namespace onepass::fuzz {
namespace {

using Gradients = std::vector<std::optional<std::vector<float>>>;

/// The gradients that a step reads: sums, if it accumulates.
Gradients gradients_of(const Side& side, const Shot& shot) {
  Gradients all;
  for (std::size_t t = 0; t < side.memory.size(); ++t) {
    const TensorMemory& tensor = *side.memory[t];
    const SavedParameter& saved = shot.dict.parameters[t];
    if (!side.setup.options.accumulates_gradients) {
      all.emplace_back(tensor.has_grad ? std::optional(decoded(shot.grads[t], tensor.plan.grad_dtype))
                                       : std::nullopt);
    } else {
      all.emplace_back(saved.accumulated != 0 ? std::optional(decoded(saved.gradient_sum, DType::float32))
                                              : std::nullopt);
    }
  }
  return all;
}

bool all_finite(const Gradients& gradients) {
  for (const auto& tensor : gradients) {
    if (!tensor) continue;
    for (const float g : *tensor) {
      if (!std::isfinite(g)) return false;
    }
  }
  return true;
}

/// The norm of a group's gradients, or of all of them.
double norm_of(const Side& side, const Gradients& gradients, NormType type,
               std::optional<std::size_t> group = {}) {
  std::vector<std::vector<float>> tensors;
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    if (gradients[t] && (!group || side.memory[t]->plan.group == *group)) tensors.push_back(*gradients[t]);
  }
  return static_cast<double>(reference::norm(tensors, static_cast<reference::Norm>(type)));
}

/// What a step decides before it changes anything.
struct Plan {
  bool nothing_yet = false, measures = false, finds_nonfinite = false, skipped = false;
  double unscale = 1.0, norm = 0.0;
  std::vector<double> group_norms;
  std::vector<double> coefficients;  ///< One for each tensor.
};

double scale_of(const Model& model, const Side& side, const StateDict& dict) {
  if (model.has_grad_scale) return side.grad_scale;
  if (!model.is_shared) return model.own.scale;
  return side.setup.options.accumulates_gradients && dict.window_scale != 0 ? dict.window_scale
                                                                            : model.shared.scale;
}

double coefficient(const ClipGradNorm& clip, double norm) {
  if (std::isinf(clip.max_norm)) return 1.0;
  return reference::clip_coefficient(clip.max_norm, norm, clip.formula == ClipFormula::pytorch);
}

Plan plan_of(const Model& model, const Side& side, const Shot& before, const Gradients& gradients) {
  const StateDict& dict = before.dict;
  const bool accumulates = side.setup.options.accumulates_gradients;
  Plan plan;
  plan.nothing_yet = accumulates && dict.micro_batches == 0;
  plan.unscale = 1.0 / (scale_of(model, side, dict) * (accumulates ? dict.accumulated_weight : 1.0));
  plan.measures = model.skips() || model.handling.clip_norm;
  const ClipGradNorm clip = model.handling.clip_norm.value_or(ClipGradNorm{});
  plan.norm = plan.unscale * norm_of(side, gradients, clip.norm_type);
  for (std::size_t group = 0; group < side.setup.rules.size(); ++group) {
    plan.group_norms.push_back(plan.unscale * norm_of(side, gradients, clip.norm_type, group));
  }
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    Gradients alone(gradients.size());
    alone[t] = gradients[t];
    const double norm = clip.per_parameter ? plan.unscale * norm_of(side, alone, clip.norm_type)
                        : clip.per_group   ? plan.group_norms[side.memory[t]->plan.group]
                                           : plan.norm;
    plan.coefficients.push_back(coefficient(clip, norm));
  }
  const bool unscales =
      std::fabs(plan.unscale) > 0 && std::fabs(plan.unscale) <= double{std::numeric_limits<float>::max()};
  plan.finds_nonfinite = plan.measures && !(unscales && all_finite(gradients));
  plan.skipped = (model.skips() && plan.finds_nonfinite) || (model.has_found_inf && side.found_inf != 0.0f);
  plan.skipped = plan.skipped && !plan.nothing_yet;
  return plan;
}

void report(Model& model, bool overflowed) {
  if (model.handling.loss_scaler) model.own.update(*model.handling.loss_scaler, overflowed);
  if (!model.is_shared) return;
  model.shared_stepped = true;
  model.shared_overflowed = model.shared_overflowed || overflowed;
}

void remember(const Model& model, const Plan& plan, Memory& memory) {
  const bool by_group = model.handling.clip_norm && model.handling.clip_norm->per_group;
  if (by_group) memory.group_norms = plan.group_norms;
  if (plan.measures) memory.norm = plan.norm;
  if (model.handling.nonfinite == NonFinite::error && plan.finds_nonfinite) memory.nonfinite = true;
}

/// Moves the tensors that take part.
void move_tensors(const Model& model, const Side& side, const Plan& plan, const Gradients& gradients,
                  Shot& want, const Shot& after) {
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    if (!gradients[t]) continue;
    const std::size_t group = side.memory[t]->plan.group;
    const reference::Handling handling{.loss_scale = 1.0,
                                       .coefficient = plan.unscale * plan.coefficients[t],
                                       .limit = model.handling.clip_value};
    const Rates rates = want.dict.schedules[group].rates(side.optimizer->rule(group).lr, want.dict.steps);
    if (!side.setup.wild) require_moved(side, t, rates, handling, *gradients[t], want, after);
    ++want.dict.parameters[t].step;
    want.dict.parameters[t].states = after.dict.parameters[t].states;
    want.values[t] = after.values[t];
    const TensorPlan& tensor = side.memory[t]->plan;
    if (tensor.has_copy) {
      want.copies[t] = encoded(decoded(after.values[t], DType::float32), tensor.copy_dtype);
    }
  }
}

}  // namespace

void ScaleModel::update(const LossScaler& settings, bool overflowed) {
  if (overflowed) {
    scale = static_cast<float>(scale * settings.backoff_factor);
    tracker = 0;
  } else if (++tracker >= settings.growth_interval) {
    const auto grown = static_cast<float>(scale * settings.growth_factor);
    if (grown <= static_cast<float>(settings.max_scale)) scale = grown;
    tracker = 0;
  }
  scale = std::max(scale, static_cast<float>(settings.min_scale));
  scale = std::min(scale, static_cast<float>(settings.max_scale));
}

bool Model::skips() const {
  return handling.loss_scaler || is_shared || handling.nonfinite != NonFinite::propagate;
}

void Model::set_handling(const GradientHandling& next, bool shares) {
  const auto first = [](const GradientHandling& one) {
    return std::pair(one.loss_scaler ? one.loss_scaler->init_scale : one.loss_scale,
                     one.loss_scaler.has_value());
  };
  if (first(handling) != first(next)) own = {.scale = static_cast<float>(first(next).first), .tracker = 0};
  handling = next;
  is_shared = shares;
}

void expect_step(Model& model, const Side& side, std::vector<Memory*> memories, Shot& want,
                 const Shot& after) {
  const Gradients gradients = gradients_of(side, want);
  const Plan plan = plan_of(model, side, want, gradients);
  if (!plan.skipped && !plan.nothing_yet) move_tensors(model, side, plan, gradients, want, after);
  const bool accumulates = side.setup.options.accumulates_gradients;
  if (model.handling.zero_grad && !accumulates) expect_zero_gradients(side, want);
  const bool overflowed = plan.skipped || want.dict.dropped_since_step != 0;
  if (overflowed || !plan.nothing_yet) report(model, overflowed);
  if (model.handling.loss_scaler) want.dict.loss_scale = model.own.scale;
  want.dict.growth_tracker = model.own.tracker;
  want.dict.dropped_since_step = 0;
  if (plan.nothing_yet) return;
  for (Memory* memory : memories) remember(model, plan, *memory);
  ++(plan.skipped ? want.dict.skipped_steps : want.dict.steps);
  want.dict.micro_batches = 0;
  want.dict.accumulated_weight = 0.0;
  want.dict.window_scale = 0.0f;
  for (SavedParameter& parameter : want.dict.parameters) {
    parameter.accumulated = 0;
    parameter.gradient_sum.clear();
  }
}

void expect_accumulate(const Model& model, const Side& side, const BatchModel& batch, Shot& want,
                       const Shot& after) {
  Gradients gradients;
  for (std::size_t t = 0; t < side.memory.size(); ++t) {
    const TensorMemory& tensor = *side.memory[t];
    gradients.emplace_back(tensor.has_grad ? std::optional(decoded(want.grads[t], tensor.plan.grad_dtype))
                                           : std::nullopt);
  }
  StateDict& dict = want.dict;
  const bool drops = batch.drops_nonfinite && !all_finite(gradients);
  float factor = drops ? 0.0f : batch.weight;
  if (!drops && model.is_shared && dict.micro_batches > 0 && dict.window_scale != 0.0f) {
    factor = static_cast<float>(double{batch.weight} * (double{dict.window_scale} / model.shared.scale));
  }
  if (factor != 0.0f) {
    if (dict.micro_batches == 0) dict.window_scale = model.is_shared ? model.shared.scale : 0.0f;
    ++dict.micro_batches;
    dict.accumulated_weight += double{batch.weight};
  } else if (batch.weight != 0.0f) {
    ++dict.dropped_micro_batches;
    ++dict.dropped_since_step;
  }
  for (std::size_t t = 0; t < gradients.size() && factor != 0.0f; ++t) {
    if (!gradients[t]) continue;
    SavedParameter& parameter = dict.parameters[t];
    if (!side.setup.wild) require_summed(parameter, after.dict.parameters[t], factor, *gradients[t]);
    ++parameter.accumulated;
    parameter.gradient_sum = after.dict.parameters[t].gradient_sum;
  }
  if (model.handling.zero_grad) expect_zero_gradients(side, want);
}

void expect_zero_gradients(const Side& side, Shot& want) {
  for (std::size_t t = 0; t < side.memory.size(); ++t) {
    if (side.memory[t]->has_grad) want.grads[t].assign(want.grads[t].size(), std::byte{0});
  }
}

double penalty(const Side& side, const Shot& shot, const std::vector<Rule>& rules) {
  long double sum = 0.0L;
  for (std::size_t t = 0; t < side.memory.size(); ++t) {
    const Rule& rule = rules[side.memory[t]->plan.group];
    const double l2 = rule.text("weight_decay_mode") == "coupled" ? rule.get("weight_decay") : 0.0;
    const double l1 = rule.get("l1");
    for (const float p : decoded(shot.values[t], side.memory[t]->plan.dtype)) {
      if (!std::isfinite(p)) return std::numeric_limits<double>::quiet_NaN();
      if (l2 != 0) sum += 0.5L * l2 * p * p;
      if (l1 != 0) sum += static_cast<long double>(l1) * std::fabs(p);
    }
  }
  return static_cast<double>(sum);
}

}  // namespace onepass::fuzz
