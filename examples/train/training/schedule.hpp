// schedule.hpp - how the learning rate goes over a run: the table of --schedule.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "onepass/schedules/schedule.hpp"
#include "training/settings.hpp"

namespace train {

/// What a schedule is laid out for.
struct Course {
  std::int64_t steps = 1;        ///< >= 1.
  std::int64_t warmup = 0;       ///< Of --warmup.
  double lr = 0.0;               ///< The peak.
  bool drives_momentum = false;  ///< Where the rule has one.
};

/// A name on the command line and what it stands for.
struct ScheduleKind {
  std::string_view name;
  std::string_view meaning;
  onepass::Schedule (*make)(const Course&);
};

/// All of them, in the order of --help; the first keeps the rate.
std::span<const ScheduleKind> schedule_kinds();
bool is_constant(const Settings& settings);

/// The schedule of resolved settings, the warm-up included: the rate of each of the first --warmup steps is
/// multiplied by a line from 0 to 1. Throws UsageError where the number of steps is missing.
onepass::Schedule make_schedule(const Settings& settings);

}  // namespace train
