// multi_step_lr.hpp - MultiStepLR: the rate is multiplied by a factor at given steps.
#pragma once

#include <vector>

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A decay by a factor at each milestone:
///
///     lr(t) = base_lr * gamma^(number of milestones <= t)
///
/// Source: torch.optim.lr_scheduler.MultiStepLR. Deviations: milestones must be sorted. A milestone that
/// occurs twice counts twice, as in PyTorch.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct MultiStepLR {
  std::vector<std::int64_t> milestones;  ///< Steps at which the factor applies; >= 0, not decreasing.
  double gamma = 0.1;                    ///< Factor of each milestone; >= 0.

  /// Returns the rate at step t, with the milestones in `numbers`.
  static ONEPASS_LANE double lr(const schedule::Segment& segment, const double* numbers, double base_lr,
                                std::int64_t t) {
    const double* const milestones = numbers + segment.first_number;
    std::int64_t passed = 0;
    for (std::int64_t end = segment.number_count; passed < end;) {
      const std::int64_t middle = passed + (end - passed) / 2;
      const bool reached = milestones[middle] <= static_cast<double>(t);
      passed = reached ? middle + 1 : passed;
      end = reached ? end : middle;
    }
    return base_lr * lane::power(segment.parameters[0], passed);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs gamma into a segment; the milestones go to View::numbers.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::multi_step, .parameters = {gamma}};
  }
};

}  // namespace onepass
