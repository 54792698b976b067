// numbers.cpp - see numbers.hpp.
#include "fuzz/model/numbers.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>

#include "host/backend/rule_ops.hpp"
#include "optimizers/trial.hpp"
#include "support/numbers/matrices.hpp"

namespace onepass::fuzz {
namespace {

using reference::Element;
using reference::Number;

/// Returns whether the decay of a rule is a part of its formula: it then has no other forms.
bool owns_decay(Rule rule) {
  rule.set_text("weight_decay_mode", "after");
  try {
    rule.check();
  } catch (const InvalidArgument&) {
    return true;
  }
  return false;
}

/// The rule of a group at the rates of its schedule.
Rule scheduled(Rule rule, const Rates& rates) {
  // The reference knows one rate: what corrected decay makes of the scheduled one is a part of weight_decay.
  if (rule.text("weight_decay_mode") == "corrected" && rule.lr > 0.0) {
    rule.set("weight_decay", rule.get("weight_decay") * (rates.lr / rule.lr));
  }
  rule.lr = rates.lr;
  // A decay of 0 is off, also where the parameter is infinite; in the reference 0 * Inf is NaN. A decay that
  // is a part of the rule enters its states whatever the rate is.
  if (rates.lr == 0.0 && rule.text("weight_decay_mode") != "coupled" && !owns_decay(rule)) {
    rule.set("weight_decay", 0.0);
  }
  if (rates.drives_momentum) rule.set(rule.has("momentum") ? "momentum" : "beta1", rates.momentum);
  return rule;
}

/// States smaller than this may have become 0 in a step that settles.
double settled_below(std::int64_t step) { return step % rule::kSettleInterval == 0 ? 0x1p-99 : 0.0; }

/// Throws Mismatch unless the number is near. `what` names it, if it is not.
template <class What>
void require_close(const What& what, float actual, Number expected, double least) {
  // A divisor that is infinite leaves no bound of its error, and a quotient of 0.
  const bool bounded = !std::isnan(expected.magnitude);
  const Number known = bounded ? expected : Number(expected.value);
  // Twice the bound, since an average with a beta of 0.1 rounds more than the terms that the bound knows.
  const double tolerance = std::max(2 * test::one_step_tolerance(known), least);
  if (test::agrees(actual, expected, tolerance)) return;
  throw Mismatch(what() + ", off by " +
                 std::to_string(std::fabs(double{actual} - expected.value) / tolerance) + " tolerances, is " +
                 test::shown(actual) + ", but the reference has " +
                 test::shown(static_cast<float>(expected.value)));
}

/// The numbers of a float32 tensor: the parameter, then these states, one number for each element.
std::vector<std::vector<float>> numbers_of(const Shot& shot, std::size_t tensor, const TensorPlan& plan,
                                           std::span<const char* const> names) {
  std::vector<std::vector<float>> numbers{decoded(shot.values[tensor], DType::float32)};
  const std::vector<SavedState>& states = shot.dict.parameters[tensor].states;
  for (const std::string_view name : names) {
    const SavedState& state = *std::ranges::find(states, name, &SavedState::name);
    numbers.push_back(test::of_elements(test::Sides::of(plan.shape), name, decoded(state.bytes, state.dtype),
                                        numbers[0].size()));
  }
  return numbers;
}

/// "AdamW lr 0.01 beta1 0.9 ..."
std::string text_of(const Rule& rule) {
  std::string text(rule.name());
  for (const Hyperparameter& one : rule.hyperparameters()) {
    text.append(" ").append(one.name).append(" ").append(rule.text(one.name));
  }
  return text;
}

/// The parameter and the states of an element.
std::string text_of(const std::vector<std::vector<float>>& numbers, std::size_t element) {
  std::string text;
  for (const std::vector<float>& stream : numbers) text.append(test::shown(stream[element])).append(" ");
  return text;
}

void require_average(const Side& side, const std::string& name, std::int64_t step,
                     const std::vector<float>& values, const std::vector<float>& before,
                     const std::vector<float>& after) {
  const EMA& ema = *side.setup.options.ema;
  const double weight = double{ema_weight(ema.decay, ema.warmup, ema.bias_correction, step)};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Number moved = reference::average(Number(before[i]), Number(values[i]), weight);
    // A bfloat16 average is rounded to one of its two neighbours.
    const double rounded = ema.dtype == DType::bfloat16 ? 0x1p-7 * moved.magnitude + 0x1p-133 : 0.0;
    const auto what = [&] { return "ema of " + name + " at " + std::to_string(i); };
    require_close(what, after[i], moved, rounded);
  }
}

}  // namespace

void require_moved(const Side& side, std::size_t tensor, const Rates& rates,
                   const reference::Handling& handling, const std::vector<float>& gradient,
                   const Shot& before, const Shot& after) {
  const TensorPlan& plan = side.memory[tensor]->plan;
  if (plan.dtype != DType::float32) return;
  const SavedParameter& saved = before.dict.parameters[tensor];
  const std::int64_t step = saved.step + 1;
  const Rule rule = scheduled(side.optimizer->rule(plan.group), rates);
  // The references know constant rates alone, and scalars may remember others.
  if (!rule.ops().variants.front().scalars.empty()) return;
  const std::span<const char* const> names = side.optimizer->state_names(plan.name);
  const std::vector<std::vector<float>> old = numbers_of(before, tensor, plan, names);
  const std::vector<std::vector<float>> moved = numbers_of(after, tensor, plan, names);
  const std::size_t states = names.size();
  std::vector<Element> elements(gradient.size());
  std::vector<Number> seen;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    elements[i].p = Number(old[0][i]);
    for (std::size_t s = 0; s < states; ++s) elements[i].state[s] = Number(old[s + 1][i]);
    const Number handled = handling(Number(gradient[i]));
    // An infinite gradient that is clipped by value has no error.
    seen.push_back(std::isinf(gradient[i]) ? Number(handled.value) : handled);
  }
  const test::Sides sides = test::Sides::of(plan.shape);
  const reference::TensorStep one{step, elements, seen, sides.rows, sides.columns};
  test::reference_step(rule)({&one, 1});
  const bool has_momentum = !rule.has("momentum") || rule.get("momentum") != 0.0;
  for (std::size_t s = 0; s <= states; ++s) {
    const std::string name = s == 0 ? "p" : names[s - 1];
    if (name == "momentum_buffer" && !has_momentum) continue;  // The reference leaves it alone.
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const auto what = [&] {
        return name + " of " + plan.name + " at " + std::to_string(i) + " in its step " +
               std::to_string(step) + " with " + text_of(rule) + ", gradient " +
               std::to_string(seen[i].value) + ", before " + text_of(old, i);
      };
      require_close(what, moved[s][i], s == 0 ? elements[i].p : elements[i].state[s - 1],
                    settled_below(step));
    }
  }
  if (!side.setup.options.ema) return;
  constexpr const char* kAverage[] = {"ema"};
  require_average(side, plan.name, step, moved[0], numbers_of(before, tensor, plan, kAverage)[1],
                  numbers_of(after, tensor, plan, kAverage)[1]);
}

void require_summed(const SavedParameter& before, const SavedParameter& after, float factor,
                    const std::vector<float>& gradient) {
  const std::vector<float> old = decoded(before.gradient_sum, DType::float32);
  const std::vector<float> sum = decoded(after.gradient_sum, DType::float32);
  require(sum.size() == gradient.size(), "the gradient sum of " + before.name + " has another size");
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const Number added = Number(factor) * Number(gradient[i]);
    const auto what = [&] { return "gradient sum of " + before.name + " at " + std::to_string(i); };
    require_close(what, sum[i], old.empty() ? added : Number(old[i]) + added, 0.0);
  }
}

}  // namespace onepass::fuzz
