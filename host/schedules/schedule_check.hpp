// schedule_check.hpp - range checks of schedule parameters, and the errors that they throw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "onepass/rule/check.hpp"
#include "onepass/schedules/schedule.hpp"

namespace onepass::schedule {

/// Throws InvalidArgument unless the value lies in [least, kMostSteps].
void require_steps(rule::Named which, std::int64_t value, std::int64_t least);
/// Throws InvalidArgument unless the value lies in [0, 1].
void require_share(rule::Named which, double value);
/// Throws InvalidArgument unless the value is finite in float32 and above 0.
void require_positive(rule::Named which, double value);
/// Throws InvalidArgument unless the value is one of `count` enumerators, numbered from 0.
void require_choice(rule::Named which, std::int64_t value, std::int64_t count);

/// Throws InvalidArgument unless the milestones are numbers of steps and sorted.
void check_milestones(const char* schedule, std::span<const std::int64_t> milestones);
/// Throws InvalidArgument unless all factors are at least 0 and finite in float32.
void check_table(std::span<const double> table);

/// Returns steps at which a rate may be the highest of its part of a schedule: the part's ends, every number
/// of steps among its parameters and the step before, its milestones, and the largest factor of its table.
std::vector<std::int64_t> turning_steps(const Schedule& schedule);

/// Throws InvalidArgument, naming the segment, unless these could be the segments and numbers of a Schedule.
void check_segments(std::span<const Segment> segments, std::span<const double> numbers);

}  // namespace onepass::schedule
