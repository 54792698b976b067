// schedule_check.hpp - what a schedule says about a parameter that is out of range.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/rule/check.hpp"
#include "onepass/schedules/segment.hpp"

namespace onepass::schedule {

/// Each throws InvalidArgument with a full sentence.
void require_steps(rule::Named which, std::int64_t value, std::int64_t least);
/// [0, 1]
void require_share(rule::Named which, double value);
/// Finite in float32, and above 0.
void require_positive(rule::Named which, double value);
/// An enumerator, out of so many.
void require_choice(rule::Named which, std::int64_t value, std::int64_t count);

/// What milestones and tables must be; from a caller or from a file.
void check_milestones(const char* schedule, std::span<const std::int64_t> milestones);
void check_table(std::span<const double> table);

/// Checks that a Schedule could be made of these. Throws InvalidArgument, naming the segment.
void check_segments(std::span<const Segment> segments, std::span<const double> numbers);

}  // namespace onepass::schedule
