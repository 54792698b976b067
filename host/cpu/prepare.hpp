// prepare.hpp - the CPU's work before the update: decides the step, counts it, and forms the coefficients.
#pragma once

#include <cstdint>
#include <cstring>

#include "step/coefficients.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// Returns the tensor whose scalars a tensor takes: its own, or those of the leader if the rule sums over the
/// model.
template <class Rule>
std::int64_t source_of(const step::Leader& leader, std::int64_t tensor) {
  return kSumsOverModel<Rule> ? leader.tensor : tensor;
}

/// Returns whether the step scales the gradients of two tensors of one group alike.
inline bool is_scaled_alike(const step::Table& table, const step::StepPlan& plan, std::int64_t a,
                            std::int64_t b) {
  return table.control->settings.clips_by_parameter == 0 ||
         step::scale_of(table, plan, a).factor == step::scale_of(table, plan, b).factor;
}

/// Does the same as the CUDA kernel of that name (kernels/update/prepare.cuh), in one thread. Neighbouring
/// tensors of one group that have taken equally many steps, carry the same scalars and are clipped alike
/// share their coefficients, which saves a model of 2,000 tensors 2,000 powers.
template <class Rule>
void prepare(const step::Table& table) {
  const step::StepPlan plan = step::plan_step(table);
  const auto coefficients = step::coefficients<Rule>(table);
  std::int64_t last = -1;
  rule::ScalarsOf<Rule> of_last{};  // before this step
  step::Leader leader;
  if constexpr (kSumsOverModel<Rule>) leader = step::leader_among<Rule>(table, 0, 1);
  for (std::int64_t i = 0; i < step::stepped_count(table); ++i) {
    const std::int64_t t = step::stepped_tensor(table, i);
    if (!step::prepares(table, t)) continue;
    step::take_norm(table, plan, t);
    if constexpr (rule::SweepsOf<Rule>::kCount != 0) {
      if (table.sweeps != 0) {
        step::prepare_sweep<Rule>(table, plan, t);
        continue;
      }
    }
    if (!step::takes_part(table, plan, t) || !step::count_step(table, t)) {
      step::leave_out(table, t);
      continue;
    }
    const rule::ScalarsOf<Rule> carried = step::carried<Rule>(table, source_of<Rule>(leader, t));
    const bool carries_alike =
        kScalarCount<Rule> == 0 || std::memcmp(&carried, &of_last, sizeof carried) == 0;
    if (last >= 0 && table.tensors[t].group == table.tensors[last].group &&
        table.steps[t] == table.steps[last] && carries_alike && is_scaled_alike(table, plan, t, last)) {
      coefficients[t] = coefficients[last];
      if constexpr (!kSumsOverModel<Rule>) step::carry<Rule>(table, t, step::carried<Rule>(table, last));
      coefficients[t].step.draws = step::draws_of(table, t);
      coefficients[t].step.rounds_stochastically = table.tensors[t].rounds_stochastically ? 1u : 0u;
      coefficients[t].step.zero_grad = step::zeroes_gradient(table, t);
    } else {
      step::form_coefficients<Rule>(table, plan, t, source_of<Rule>(leader, t));
    }
    last = t;
    of_last = carried;
  }
  if (table.concludes == 0) return;
  step::conclude_groups(table, plan, 0, 1);
  step::conclude_step(table, plan);
}

/// Does the same as the CUDA kernel of that name, in one thread.
template <class Rule>
void finish(const step::Table& table) {
  for (std::int64_t i = 0; i < step::stepped_count(table); ++i) {
    const std::int64_t t = step::stepped_tensor(table, i);
    if (step::prepares(table, t) && step::finishes(table, t)) step::finish<Rule>(table, t);
  }
  step::forget_model_sums<Rule>(table);
}

}  // namespace onepass::cpu
