// coefficients.hpp - forms the coefficients of one tensor for one step.
#pragma once

#include <cstdint>

#include "onepass/ema.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/regularizers/lookahead.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/schedules/evaluate.hpp"
#include "step/decide_step.hpp"
#include "step/global.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// Sets the hyperparameter that OneCycleLR and CyclicLR drive: momentum, or Adam's beta1. Returns false if
/// the rule has neither.
template <class Rule>
ONEPASS_LANE bool drive_momentum(Rule& rule, double momentum) {
  if constexpr (requires { rule.momentum; }) {
    rule.momentum = momentum;
    return true;
  } else if constexpr (requires { rule.beta1; }) {
    rule.beta1 = momentum;
    return true;
  } else {
    return false;
  }
}

/// Returns the number of steps before this one that a tensor's schedule counts: those of the optimizer, or in
/// a part of a round those of the tensor, whose count must already include this step. `concluded`: that of
/// the optimizer includes it too.
ONEPASS_LANE std::int64_t steps_before(const Table& table, std::int64_t tensor, bool concluded) {
  if (is_part(table)) return table.steps[tensor] - 1;
  return table.control->progress.steps - (concluded ? 1 : 0);
}

/// Returns the tensor's rule with the learning rate and momentum that its group's schedule sets after `taken`
/// steps.
template <class Rule>
ONEPASS_LANE Rule scheduled(const Table& table, std::int64_t tensor, std::int64_t taken) {
  Rule rule = rule_of<Rule>(table, tensor);
  const schedule::View& stored = table.schedules[table.tensors[tensor].group];
  if (stored.segment_count == 0) return rule;
  const schedule::View view{declared_global(stored.segments), stored.segment_count,
                            declared_global(stored.numbers)};
  const Rates rates = schedule::evaluate(view, rule.lr, taken);
  rule.lr = rates.lr;
  if (rates.drives_momentum) drive_momentum(rule, rates.momentum);
  return rule;
}

/// Returns the key and counter from which the tensor draws random bits in this step. They follow from its own
/// step count, which must already include this step: a tensor draws the same bits whatever the others do, and
/// whenever its optimizer was made. The high 32 bits of the count go into the key, the low ones into the
/// counter.
ONEPASS_LANE rule::Draws draws_of(const Table& table, std::int64_t tensor) {
  const RandomPosition position{table.control->settings.store.seed, table.steps[tensor] - 1};
  return {.key = position.key(), .step = position.step(), .tensor = table.tensors[tensor].number};
}

/// Forms the part of a tensor's coefficients that does not depend on the rule. The tensor's step count must
/// already include this step.
ONEPASS_LANE rule::TensorStep tensor_step(const Table& table, std::int64_t tensor) {
  const StoreSettings& settings = table.control->settings.store;
  const TensorEntry& entry = table.tensors[tensor];
  return {
      .draws = draws_of(table, tensor),
      .ema_weight = ema_weight(settings.ema_decay, settings.warms_up_ema != 0,
                               settings.corrects_ema_bias != 0, table.steps[tensor]),
      .ema_settles = rule::Around::settled_at(table.steps[tensor]),
      .slow_weight = lookahead_weight(settings.lookahead_k, settings.lookahead_alpha, table.steps[tensor]),
      .rounds_stochastically = entry.rounds_stochastically ? 1u : 0u,
      .active = true,
      .settles = rule::Around::settled_at(table.steps[tensor]) != 0.0f,
      .zero_grad = zeroes_gradient(table, tensor),
      .takes_sums = false};
}

/// Returns the scalars that a tensor carries for its rule.
template <class Rule>
ONEPASS_LANE rule::ScalarsOf<Rule> carried(const Table& table, std::int64_t tensor) {
  rule::ScalarsOf<Rule> scalars{};
  if constexpr (kScalarCount<Rule> != 0) {
    double numbers[kScalarCount<Rule>];
    for (std::size_t i = 0; i < kScalarCount<Rule>; ++i) {
      numbers[i] = *declared_global(table.tensors[tensor].scalars[i]);
    }
    __builtin_memcpy(&scalars, numbers, sizeof scalars);
  }
  return scalars;
}

/// The tensor whose scalars all others of its type of rule take over, if the rule sums over the model: the
/// first one of those that have counted the most steps. Compares as "is better than" and needs no order.
struct Leader {
  double counted = -1.0;
  std::int64_t tensor = 0;

  ONEPASS_LANE void consider(double steps, std::int64_t which) {
    if (steps > counted || (steps == counted && which < tensor)) *this = {steps, which};
  }
};

/// Returns the leader among every `threads`-th tensor from number `thread` on. Prepare writes no scalars of
/// such a rule, so all threads see the same.
template <class Rule>
ONEPASS_LANE Leader leader_among(const Table& table, std::int64_t thread, std::int64_t threads) {
  Leader leader;
  for (std::int64_t t = thread; t < table.tensor_count; t += threads) {
    if (prepares(table, t)) leader.consider(carried<Rule>(table, t).k, t);
  }
  return leader;
}

/// Writes them.
template <class Rule>
ONEPASS_LANE void carry(const Table& table, std::int64_t tensor, const rule::ScalarsOf<Rule>& scalars) {
  if constexpr (kScalarCount<Rule> != 0) {
    double numbers[kScalarCount<Rule>];
    __builtin_memcpy(numbers, &scalars, sizeof numbers);
    for (std::size_t i = 0; i < kScalarCount<Rule>; ++i) {
      *declared_global(table.tensors[tensor].scalars[i]) = numbers[i];
    }
  }
}

/// Writes the coefficients of a tensor for a sweep, which takes it as it is at its next step: without decay
/// and clipping, without settling, and without moving an average or slow weights. Scalars stay as they are.
template <class Rule>
ONEPASS_LANE void form_sweep(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  const Rule rule = rule_of<Rule>(table, tensor);
  Rule plain = rule;
  plain.weight_decay = 0.0;
  plain.l1 = 0.0;
  rule::ScalarsOf<Rule> scalars = carried<Rule>(table, tensor);
  rule::TensorStep step = tensor_step(table, tensor);
  step.ema_weight = 0.0f;
  step.ema_settles = 0.0f;
  step.slow_weight = 0.0f;
  step.settles = false;
  const rule::GradientScale unscaled{plan.unscale, __builtin_huge_valf()};
  coefficients<Rule>(table)[tensor] = {.step = step,
                                       .around = rule::Around::prepare(plain, unscaled, 1),
                                       .rule = rule::prepared(rule, table.steps[tensor] + 1, scalars)};
}

/// Prepares a tensor for a sweep.
template <class Rule>
ONEPASS_LANE void prepare_sweep(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  if (table.grads[tensor] == nullptr || plan.skipped) {
    leave_out(table, tensor);
  } else {
    form_sweep<Rule>(table, plan, tensor);
  }
}

/// Writes all coefficients of a tensor, and its scalars, which are those of tensor `from`. The tensor's step
/// count must already include this step. Scalars that tensors share go into the coefficients, for finish().
template <class Rule>
ONEPASS_LANE void form_coefficients(const Table& table, const StepPlan& plan, std::int64_t tensor,
                                    std::int64_t from) {
  const Rule rule = scheduled<Rule>(table, tensor, steps_before(table, tensor, false));
  rule::ScalarsOf<Rule> scalars = carried<Rule>(table, from);
  coefficients<Rule>(table)[tensor] = {
      .step = tensor_step(table, tensor),
      .around = rule::Around::prepare(rule, scale_of(table, plan, tensor), table.steps[tensor],
                                      rule_of<Rule>(table, tensor).lr),
      .rule = rule::prepared(rule, table.steps[tensor], scalars)};
  coefficients<Rule>(table)[tensor].step.takes_sums = rule::takes_sums(rule);
  if constexpr (kSumsOverModel<Rule>) {
    coefficients<Rule>(table)[tensor].scalars = scalars;
  } else {
    carry<Rule>(table, tensor, scalars);
  }
}

/// Returns the sums for a tensor. Empties those over the tensor for the next step; many tensors read those
/// over the model.
template <class Rule>
ONEPASS_LANE rule::Sums<kSumCount<Rule>> taken_sums(const Table& table, std::int64_t tensor) {
  constexpr Measure kMeasure = kSumsMagnitudes<Rule> ? Measure::exact_magnitudes : Measure::exact_squares;
  TensorSums& own = sums_of(table, tensor, kSumsOverModel<Rule>);
  rule::Sums<kSumCount<Rule>> sums{};
  for (int i = 0; i < kSumCount<Rule>; ++i) sums.total[i] = value_of(own.of_terms[i], kMeasure);
  if constexpr (!kSumsOverModel<Rule>) {
    sums.numel = own.numel != 0 ? own.numel : table.tensors[tensor].numel;
    own = TensorSums::none();
  }
  return sums;
}

/// Empties the sums over the model of the rule that this launch is for, after all tensors have read them.
template <class Rule>
ONEPASS_LANE void forget_model_sums(const Table& table) {
  if constexpr (kSumsOverModel<Rule>) {
    const std::uint32_t type = table.prepares == kEveryRule ? 0 : table.prepares;
    table.sums[table.tensor_count + type] = TensorSums::none();
  }
}

/// Completes the coefficients of a tensor that takes part in the step, after its elements were measured and
/// the step was counted.
template <class Rule>
ONEPASS_LANE void finish(const Table& table, std::int64_t tensor) {
  const Rule rule = scheduled<Rule>(table, tensor, steps_before(table, tensor, true));
  auto& formed = coefficients<Rule>(table)[tensor];
  rule::ScalarsOf<Rule> scalars;
  if constexpr (kSumsOverModel<Rule>) {
    scalars = formed.scalars;
  } else {
    scalars = carried<Rule>(table, tensor);
  }
  rule::finish(rule, table.steps[tensor], taken_sums<Rule>(table, tensor), scalars, formed.around,
               formed.rule);
  carry<Rule>(table, tensor, scalars);
}

}  // namespace onepass::step
