// coefficients.hpp - forms the coefficients of one tensor for one step.
#pragma once

#include <cstdint>

#include "onepass/ema.hpp"
#include "onepass/random/random_state.hpp"
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
  return {.draws = draws_of(table, tensor),
          .ema_weight = ema_weight(settings.ema_decay, settings.warms_up_ema != 0,
                                   settings.corrects_ema_bias != 0, table.steps[tensor]),
          .ema_settles = rule::Around::settled_at(table.steps[tensor]),
          .rounds_stochastically = entry.rounds_stochastically ? 1u : 0u,
          .active = true,
          .settles = rule::Around::settled_at(table.steps[tensor]) != 0.0f,
          .zero_grad = zeroes_gradient(table, tensor)};
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
/// and clipping, without settling, and without moving an average. Scalars stay as they are.
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

/// Writes all coefficients of a tensor, and its scalars. The tensor's step count must already include this
/// step.
template <class Rule>
ONEPASS_LANE void form_coefficients(const Table& table, const StepPlan& plan, std::int64_t tensor) {
  const Rule rule = scheduled<Rule>(table, tensor, steps_before(table, tensor, false));
  rule::ScalarsOf<Rule> scalars = carried<Rule>(table, tensor);
  coefficients<Rule>(table)[tensor] = {
      .step = tensor_step(table, tensor),
      .around = rule::Around::prepare(rule, scale_of(table, plan, tensor), table.steps[tensor],
                                      rule_of<Rule>(table, tensor).lr),
      .rule = rule::prepared(rule, table.steps[tensor], scalars)};
  carry<Rule>(table, tensor, scalars);
}

/// Returns the sums over a tensor, and empties them for the next step.
template <class Rule>
ONEPASS_LANE rule::Sums<kSumCount<Rule>> taken_sums(const Table& table, std::int64_t tensor) {
  TensorSums& own = table.sums[tensor];
  rule::Sums<kSumCount<Rule>> sums{};
  sums.numel = own.numel != 0 ? own.numel : table.tensors[tensor].numel;
  for (int i = 0; i < kSumCount<Rule>; ++i) {
    sums.of_squares[i] = value_of(own.of_terms[i], Measure::exact_squares);
  }
  own = TensorSums::none();
  return sums;
}

/// Completes the coefficients of a tensor that takes part in the step, after its elements were measured and
/// the step was counted.
template <class Rule>
ONEPASS_LANE void finish(const Table& table, std::int64_t tensor) {
  const Rule rule = scheduled<Rule>(table, tensor, steps_before(table, tensor, true));
  rule::ScalarsOf<Rule> scalars = carried<Rule>(table, tensor);
  rule::finish(rule, table.steps[tensor], taken_sums<Rule>(table, tensor), scalars,
               coefficients<Rule>(table)[tensor].rule);
  carry<Rule>(table, tensor, scalars);
}

}  // namespace onepass::step
