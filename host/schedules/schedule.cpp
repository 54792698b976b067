// schedule.cpp - compiles schedules and their compositions into segments.
#include "onepass/schedules/schedule.hpp"

#include <algorithm>
#include <string>

#include "host/check/sentence.hpp"
#include "host/schedules/schedule_check.hpp"
#include "onepass/schedules/chained_scheduler.hpp"
#include "onepass/schedules/evaluate.hpp"
#include "onepass/schedules/exponential_lr.hpp"
#include "onepass/schedules/sequential_lr.hpp"
#include "onepass/schedules/warm_up.hpp"

namespace onepass {
namespace {

using schedule::Segment;

/// Checks the parameters of a schedule and packs them.
template <class Parameters>
Segment checked(const Parameters& parameters) {
  parameters.check();
  return parameters.segment();
}

/// The first step that does not exist.
constexpr std::int64_t kNever = schedule::kMostSteps + 1;

/// A schedule within a composition: its first step and end there, and the index of its first number.
struct Part {
  const Schedule& schedule;
  std::int64_t begin, end;
  std::int64_t first_number;
};

/// Returns the number of stages. A schedule that was moved from has no segments and counts as the base rate.
std::int32_t stages(const Schedule& schedule) {
  return schedule.segments().empty() ? 1 : schedule.segments().back().stage + 1;
}

/// Appends a schedule's numbers and returns the index of the first.
std::int64_t append(const Schedule& schedule, std::vector<double>& numbers) {
  const auto first = static_cast<std::int64_t>(numbers.size());
  numbers.insert(numbers.end(), schedule.numbers().begin(), schedule.numbers().end());
  return first;
}

/// Appends one stage of a part as a stage of the composition, for as long as the part lasts. If the part has
/// no such stage, appends the identity.
void append(const Part& part, std::int32_t stage, std::int32_t as_stage, std::vector<Segment>& segments) {
  const std::size_t before = segments.size();
  for (Segment segment : part.schedule.segments()) {
    if (segment.stage != stage || segment.begin >= part.end - part.begin) continue;
    segment.stage = as_stage;
    segment.begin += part.begin;
    if (segment.number_count > 0) segment.first_number += part.first_number;
    segments.push_back(segment);
  }
  if (segments.size() == before) {
    segments.push_back({.stage = as_stage, .begin = part.begin});
  }
}

void check_sequence(const SequentialLR& sequence) {
  if (sequence.schedules.empty()) rule::fail("SequentialLR", "schedules must not be empty");
  if (sequence.milestones.size() + 1 != sequence.schedules.size()) {
    throw InvalidArgument("onepass: SequentialLR must have one milestone less than schedules, but has " +
                          std::to_string(sequence.milestones.size()) + " for " +
                          std::to_string(sequence.schedules.size()));
  }
  schedule::check_milestones("SequentialLR", sequence.milestones);
}

}  // namespace

Schedule::Schedule() : segments_{Segment{}} {}
Schedule::Schedule(const ConstantLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const CosineAnnealingLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const CosineAnnealingWarmRestarts& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const CyclicLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const ExponentialLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const LinearLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const OneCycleLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const PolynomialLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const StepLR& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const WarmUp& schedule) : segments_{checked(schedule)} {}
Schedule::Schedule(const WarmupStableDecay& schedule) : segments_{checked(schedule)} {}

Schedule::Schedule(const MultiStepLR& schedule)
    : segments_{checked(schedule)}, numbers_(schedule.milestones.begin(), schedule.milestones.end()) {
  segments_[0].number_count = static_cast<std::int64_t>(numbers_.size());
}

Schedule::Schedule(const LambdaLR& lambda) : segments_{checked(lambda)} {
  numbers_.reserve(static_cast<std::size_t>(lambda.steps));
  for (std::int64_t step = 0; step < lambda.steps; ++step) numbers_.push_back(lambda.lr_lambda(step));
  schedule::check_table(numbers_);
  segments_[0].number_count = lambda.steps;
}

Schedule::Schedule(const SequentialLR& sequence) {
  check_sequence(sequence);
  std::vector<Part> parts;
  std::int32_t most = 0;
  for (std::size_t i = 0; i < sequence.schedules.size(); ++i) {
    const Schedule& schedule = sequence.schedules[i];
    const std::int64_t begin = i == 0 ? 0 : sequence.milestones[i - 1];
    const std::int64_t end = i < sequence.milestones.size() ? sequence.milestones[i] : kNever;
    if (begin == end) continue;  // no step is this schedule's
    parts.push_back(
        {.schedule = schedule, .begin = begin, .end = end, .first_number = append(schedule, numbers_)});
    most = std::max(most, stages(schedule));
  }
  // Built stage by stage, because a sequence of chains is stored as a chain of sequences.
  for (std::int32_t stage = 0; stage < most; ++stage) {
    for (const Part& part : parts) append(part, stage, stage, segments_);
  }
}

Schedule::Schedule(const ChainedScheduler& chain) {
  if (chain.schedules.empty()) rule::fail("ChainedScheduler", "schedules must not be empty");
  std::int32_t stage = 0;
  for (const Schedule& schedule : chain.schedules) {
    const Part part{
        .schedule = schedule, .begin = 0, .end = kNever, .first_number = append(schedule, numbers_)};
    const std::int32_t count = stages(schedule);
    for (std::int32_t s = 0; s < count; ++s) append(part, s, stage++, segments_);
  }
}

Schedule::Schedule(std::span<const Segment> segments, std::span<const double> numbers)
    : segments_(segments.begin(), segments.end()), numbers_(numbers.begin(), numbers.end()) {
  schedule::check_segments(segments_, numbers_);
}

Rates Schedule::rates(double base_lr, std::int64_t step) const {
  return schedule::evaluate(view(), base_lr, step);
}

bool Schedule::drives_momentum() const {
  return std::any_of(segments_.begin(), segments_.end(), [](const Segment& segment) {
    return (segment.kind == schedule::Kind::one_cycle && OneCycleLR::of(segment).cycle_momentum) ||
           (segment.kind == schedule::Kind::cyclic && CyclicLR::of(segment).cycle_momentum);
  });
}

}  // namespace onepass
