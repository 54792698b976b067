// schedule_segments.cpp - checks segments that come from outside, for example from a file.
#include <cmath>
#include <string>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/schedules/schedule_check.hpp"
#include "onepass/schedules/evaluate.hpp"

// Segments from a file are checked as strictly as a caller's parameters, because they decide which memory a
// kernel reads.
namespace onepass::schedule {
namespace {

[[noreturn]] void refuse_segment(std::size_t index, const std::string& sentence) {
  throw InvalidArgument("onepass: Schedule: segment " + std::to_string(index) + " " + sentence);
}

/// Checks a segment's parameters with the struct that they were packed from, and packs them again. A segment
/// that a schedule produced is then equal to `packed`, except for its place and its range of numbers.
struct Repack {
  const Segment& segment;
  std::span<const double> numbers;
  Segment& packed;

  template <class Parameters>
  void operator()(std::type_identity<Parameters>) const {
    const Parameters parameters = Parameters::of(segment);
    parameters.check();
    packed = parameters.segment();
  }
  void operator()(std::type_identity<Identity>) const { packed = {}; }
  void operator()(std::type_identity<MultiStepLR>) const {
    MultiStepLR parameters{.milestones = {}, .gamma = segment.parameters[0]};
    for (const double milestone : numbers) {
      if (milestone != std::floor(milestone)) rule::fail("Schedule", "a milestone is not a whole number");
      parameters.milestones.push_back(whole(milestone));
    }
    parameters.check();
    packed = parameters.segment();
  }
  void operator()(std::type_identity<LambdaLR>) const {
    if (numbers.empty()) rule::fail("Schedule", "a table has no numbers");
    check_table(numbers);
    packed = {.kind = Kind::table};
  }
};

Segment repack(std::size_t index, const Segment& segment, std::span<const double> numbers) {
  Segment packed;
  if (visit(segment, Repack{segment, numbers, packed})) return packed;
  refuse_segment(index,
                 "is of kind " + std::to_string(static_cast<int>(segment.kind)) + ", which does not exist");
}

bool takes_numbers(Kind kind) { return kind == Kind::multi_step || kind == Kind::table; }

/// Checks the place of a segment among the others: stages count up from 0, the first segment of each begins
/// at step 0, and each segment begins after the one before, at a step that can be reached.
void check_place(std::span<const Segment> segments, std::size_t index) {
  const Segment& segment = segments[index];
  const bool opens = index == 0 || segment.stage != segments[index - 1].stage;
  const std::int32_t stage = index == 0 ? 0 : segments[index - 1].stage + (opens ? 1 : 0);
  if (segment.stage != stage) {
    refuse_segment(index, "is of stage " + std::to_string(segment.stage) + ", where " +
                              std::to_string(stage) + " is the next");
  }
  if (opens ? segment.begin != 0 : segment.begin <= segments[index - 1].begin) {
    refuse_segment(index, "begins at step " + std::to_string(segment.begin) +
                              (opens ? ", but is the first of its stage" : ", not after the one before"));
  }
  if (segment.begin > kMostSteps) {
    refuse_segment(index, "begins at step " + std::to_string(segment.begin) + ", after the last, 2^53");
  }
}

/// Checks the segment's range of numbers and returns it.
std::span<const double> numbers_of(std::span<const Segment> segments, std::size_t index,
                                   std::span<const double> numbers) {
  const Segment& segment = segments[index];
  const auto all = static_cast<std::int64_t>(numbers.size());
  const std::int64_t first = segment.first_number, count = segment.number_count;
  if (first < 0 || first > all || count < 0 || count > all - first ||
      (!takes_numbers(segment.kind) && (first != 0 || count != 0))) {
    refuse_segment(index, "takes " + std::to_string(count) + " numbers from number " + std::to_string(first) +
                              ", out of " + std::to_string(all));
  }
  return numbers.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

}  // namespace

void check_segments(std::span<const Segment> segments, std::span<const double> numbers) {
  if (segments.empty()) rule::fail("Schedule", "there are no segments");
  for (std::size_t i = 0; i < segments.size(); ++i) {
    check_place(segments, i);
    Segment wanted = repack(i, segments[i], numbers_of(segments, i, numbers));
    wanted.stage = segments[i].stage;
    wanted.begin = segments[i].begin;
    wanted.first_number = segments[i].first_number;
    wanted.number_count = segments[i].number_count;
    if (wanted != segments[i]) refuse_segment(i, "has parameters that no schedule of its kind has");
  }
}

}  // namespace onepass::schedule
