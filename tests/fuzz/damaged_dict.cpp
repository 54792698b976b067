// damaged_dict.cpp - state dicts with damaged fields.
#include <algorithm>
#include <utility>

#include "fuzz/fuzz.hpp"
#include "fuzz/side.hpp"

namespace onepass::fuzz {
namespace {

/// An element of a list, which must not be empty.
template <class T>
T& any(Draw& draw, std::vector<T>& list) {
  return list[draw.below(list.size())];
}

/// Takes an element away, repeats one, or exchanges two.
template <class T>
void damage_list(Draw& draw, std::vector<T>& list) {
  if (list.empty()) return;
  const std::size_t at = draw.below(list.size());
  const std::size_t kind = draw.below(4);
  if (kind == 0) list.erase(list.begin() + static_cast<std::ptrdiff_t>(at));
  if (kind == 1) list.push_back(T(list[at]));
  if (kind == 2) std::swap(list[at], any(draw, list));
  if (kind == 3 && draw.chance(0.3)) list.clear();
}

void damage_counts(Draw& draw, StateDict& dict) {
  std::int64_t* const counts[] = {&dict.steps,          &dict.skipped_steps,
                                  &dict.micro_batches,  &dict.dropped_micro_batches,
                                  &dict.growth_tracker, &dict.dropped_since_step};
  *counts[draw.below(std::size(counts))] = draw.odd_count();
}

void damage_numbers(Draw& draw, StateDict& dict) {
  const std::size_t which = draw.below(4);
  if (which == 0) dict.accumulated_weight = draw.odd();
  if (which == 1) dict.window_scale = static_cast<float>(draw.odd());
  if (which == 2) dict.loss_scale = static_cast<float>(draw.odd());
  if (which == 3) dict.seed = draw.bits();
}

void damage_groups(Draw& draw, StateDict& dict) {
  if (dict.groups.empty() || draw.chance(0.2)) return damage_list(draw, dict.groups);
  SavedGroup& group = any(draw, dict.groups);
  if (draw.chance(0.1)) return damage(draw, group.rule);
  if (group.hyperparameters.empty() || draw.chance(0.1)) return damage_list(draw, group.hyperparameters);
  SavedHyperparameter& one = any(draw, group.hyperparameters);
  if (draw.chance(0.2)) return damage(draw, one.name);
  if (draw.chance(0.5)) return damage(draw, one.value);
  one.value = std::to_string(draw.odd());
}

/// Makes a schedule of damaged segments, if one can be made.
void damage_schedule(Draw& draw, Trace& trace, Schedule& schedule) {
  std::vector<schedule::Segment> segments(schedule.segments().begin(), schedule.segments().end());
  std::vector<double> numbers(schedule.numbers().begin(), schedule.numbers().end());
  if (segments.empty() || draw.chance(0.1)) {
    damage_list(draw, segments);
  } else {
    schedule::Segment& segment = any(draw, segments);
    const std::size_t which = draw.below(7);
    if (which == 0) segment.kind = static_cast<schedule::Kind>(draw.below(14));
    if (which == 1) segment.stage = static_cast<std::int32_t>(draw.odd_count());
    if (which == 2) segment.begin = draw.odd_count();
    if (which == 3) segment.first_number = draw.odd_count();
    if (which == 4) segment.number_count = draw.odd_count();
    if (which == 5) segment.parameters[draw.below(11)] = draw.odd();
    if (which == 6) damage_list(draw, numbers);
  }
  if (!numbers.empty() && draw.chance(0.1)) any(draw, numbers) = draw.odd();
  taken(trace, [&] { schedule = Schedule(segments, numbers); });
}

void damage_state(Draw& draw, SavedParameter& parameter) {
  if (parameter.states.empty() || draw.chance(0.2)) return damage_list(draw, parameter.states);
  SavedState& state = any(draw, parameter.states);
  const std::size_t which = draw.below(4);
  if (which == 0) damage(draw, state.name);
  if (which == 1) state.dtype = static_cast<DType>(draw.below(7));
  if (which == 2) state.bytes.resize(draw.pick({std::size_t{0}, state.bytes.size() + 1, std::size_t{64}}));
  if (which == 3) damage(draw, state.bytes);
}

void damage_parameters(Draw& draw, StateDict& dict) {
  if (dict.parameters.empty() || draw.chance(0.2)) return damage_list(draw, dict.parameters);
  SavedParameter& parameter = any(draw, dict.parameters);
  switch (draw.below(6)) {
    case 0:
      return damage(draw, parameter.name);
    case 1:
      parameter.step = draw.odd_count();
      return;
    case 2:
      parameter.accumulated = draw.odd_count();
      return;
    case 3:
      parameter.gradient_sum.resize(draw.below(2 * parameter.gradient_sum.size() + 9));
      return;
    case 4:
      return damage(draw, parameter.gradient_sum);
    default:
      return damage_state(draw, parameter);
  }
}

/// Makes it a dict as they were before groups.
void make_old(Draw& draw, StateDict& dict) {
  dict.rule = dict.groups.empty() ? "SGD" : dict.groups[0].rule;
  dict.lrs.assign(dict.groups.size(), 0.01);
  dict.groups.clear();
  if (!dict.lrs.empty() && draw.chance(0.3)) any(draw, dict.lrs) = draw.odd();
  if (draw.chance(0.2)) damage_list(draw, dict.lrs);
}

void damage_dict(Draw& draw, Trace& trace, StateDict& dict) {
  switch (draw.below(8)) {
    case 0:
      return damage_counts(draw, dict);
    case 1:
      return damage_numbers(draw, dict);
    case 2:
      return damage_groups(draw, dict);
    case 3:
      if (dict.schedules.empty() || draw.chance(0.2)) return damage_list(draw, dict.schedules);
      return damage_schedule(draw, trace, any(draw, dict.schedules));
    case 4:
      return make_old(draw, dict);
    default:
      return damage_parameters(draw, dict);
  }
}

}  // namespace

void damaged_dicts(std::uint64_t seed, Trace& trace) {
  Draw draw(test::mix(seed) + 1);
  Side side(draw, draw_setup(draw));
  trace.call("an optimizer");
  for (std::size_t group = 0; group < side.setup.rules.size(); ++group) {
    taken(trace, [&] { side.optimizer->set_schedule(draw_schedule(draw, false), group); });
  }
  if (draw.chance(0.5)) side.optimizer->set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 4.0}});
  take_steps(draw, side, 3);
  const StateDict whole = side.optimizer->state_dict();
  for (int attempt = 0; attempt < 30; ++attempt) {
    trace.call("a damaged dict");
    StateDict dict = whole;
    for (std::size_t times = 1 + draw.below(2); times > 0; --times) damage_dict(draw, trace, dict);
    const Shot before = side.shot();
    const LoadOptions options{.missing = draw.pick({Missing::refuse, Missing::keep}),
                              .unexpected = draw.pick({Unexpected::refuse, Unexpected::ignore})};
    if (taken(trace, [&] { (void)side.optimizer->load_state_dict(dict, options); })) {
      take_steps(draw, side, 3);
    } else {
      const std::string changed = difference(before, side.shot());
      require(changed.empty(), "a refused dict has changed " + changed);
    }
    trace.call("the whole dict");
    side.optimizer->load_state_dict(whole);
    const std::string lost = difference(whole, side.optimizer->state_dict());
    require(lost.empty(), "not restored: " + lost);
  }
}

}  // namespace onepass::fuzz
