// schedule.cpp - the table of schedules.
#include "training/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "errors.hpp"
#include "onepass/onepass.hpp"
#include "training/optimizer.hpp"

namespace train {
namespace {

using onepass::Schedule;

std::int64_t part(std::int64_t steps, std::int64_t parts) { return (steps + parts - 1) / parts; }

Schedule one_cycle(const Course& course) {
  return onepass::OneCycleLR{
      .max_lr = course.lr, .total_steps = course.steps, .cycle_momentum = course.drives_momentum};
}

Schedule warmup_stable_decay(const Course& course) {
  const std::int64_t rise = course.warmup > 0 ? course.warmup : course.steps / 10;
  const std::int64_t fall = part(course.steps, 5);
  return onepass::WarmupStableDecay{.warmup_steps = rise,
                                    .stable_steps = std::max<std::int64_t>(course.steps - rise - fall, 0),
                                    .decay_steps = fall};
}

constexpr std::string_view kConstant = "constant";
constexpr std::string_view kWithWarmup = "wsd";  // the schedule with its own warm-up

const std::array kKinds{
    ScheduleKind{kConstant, "the rate stays", [](const Course&) { return Schedule{}; }},
    ScheduleKind{
        "step", "a tenth of the rate after each third of the steps",
        [](const Course& course) -> Schedule { return onepass::StepLR{.step_size = part(course.steps, 3)}; }},
    ScheduleKind{"linear", "a straight line to 0",
                 [](const Course& course) -> Schedule {
                   return onepass::LinearLR{
                       .start_factor = 1.0, .end_factor = 0.0, .total_iters = course.steps};
                 }},
    ScheduleKind{"cosine", "half a cosine to 0",
                 [](const Course& course) -> Schedule {
                   return onepass::CosineAnnealingLR{.T_max = course.steps, .hold_minimum = true};
                 }},
    ScheduleKind{"restarts", "three cosines to 0, each twice as long as the one before",
                 [](const Course& course) -> Schedule {
                   return onepass::CosineAnnealingWarmRestarts{.T_0 = part(course.steps, 7), .T_mult = 2};
                 }},
    ScheduleKind{"one-cycle", "up from 1/25 over 30 % of the steps, down to nearly 0; momentum the other way",
                 one_cycle},
    ScheduleKind{kWithWarmup,
                 "up over --warmup or a tenth of the steps, level, down to 0 over the last fifth",
                 warmup_stable_decay},
};

/// Returns true if the rule has a momentum that a schedule may change: one above 0, or else a beta1.
bool has_momentum(const onepass::Rule& rule) {
  return rule.has("momentum") ? rule.get("momentum") > 0.0 : rule.has("beta1");
}

}  // namespace

std::span<const ScheduleKind> schedule_kinds() { return kKinds; }

bool is_constant(const Settings& settings) { return settings.schedule == kConstant; }

onepass::Schedule make_schedule(const Settings& settings) {
  const auto kind = std::ranges::find(kKinds, settings.schedule, &ScheduleKind::name);
  if (kind == kKinds.end()) throw UsageError(fmt::format("there is no schedule '{}'", settings.schedule));
  if (!is_constant(settings) && !settings.schedule_steps) {
    throw UsageError(fmt::format("--schedule {} needs --schedule-steps", settings.schedule));
  }
  const onepass::Rule rule = make_rule(settings);
  Schedule schedule = kind->make({.steps = settings.schedule_steps.value_or(1),
                                  .warmup = settings.warmup,
                                  .lr = rule.get("lr"),
                                  .drives_momentum = has_momentum(rule)});
  if (settings.warmup == 0 || kind->name == kWithWarmup) return schedule;
  return onepass::ChainedScheduler{
      .schedules = {std::move(schedule), onepass::WarmUp{.steps = settings.warmup}}};
}

}  // namespace train
