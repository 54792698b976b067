// schedule.hpp - the table of --schedule: the course of the learning rate over a run.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "onepass/schedules/schedule.hpp"
#include "training/settings.hpp"

namespace train {

/// The run that a schedule is laid out for.
struct Course {
  std::int64_t steps = 1;        ///< Length of the run in steps; >= 1.
  std::int64_t warmup = 0;       ///< Steps of --warmup.
  double lr = 0.0;               ///< Peak learning rate.
  bool drives_momentum = false;  ///< True if the rule has a momentum that the schedule may change.
};

/// A schedule and its name on the command line.
struct ScheduleKind {
  std::string_view name;
  std::string_view meaning;
  onepass::Schedule (*make)(const Course&);
};

/// Returns all schedules in the order of --help; the first keeps the rate constant.
std::span<const ScheduleKind> schedule_kinds();
bool is_constant(const Settings& settings);

/// Returns the schedule of resolved settings, with the warm-up: over the first --warmup steps the rate is
/// multiplied by a line from 0 to 1. Throws UsageError for an unknown schedule or a missing number of steps.
onepass::Schedule make_schedule(const Settings& settings);

}  // namespace train
