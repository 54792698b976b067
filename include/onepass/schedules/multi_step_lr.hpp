// multi_step_lr.hpp - MultiStepLR: the rate falls by a factor at given steps.
#pragma once

#include <vector>

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * gamma^(number of milestones <= t)
/// Source: torch.optim.lr_scheduler.MultiStepLR. Deviations: milestones must be sorted. One that comes twice
/// counts twice, as there.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct MultiStepLR {
  std::vector<std::int64_t> milestones;  ///< Steps at which the rate falls; >= 0, not decreasing.
  double gamma = 0.1;                    ///< Factor of each fall; >= 0.

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

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::multi_step, .parameters = {gamma}};
  }
};

}  // namespace onepass
