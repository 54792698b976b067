// lambda_lr.hpp - LambdaLR: the caller's own function of the step.
#pragma once

#include <functional>

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * lr_lambda(min(t, steps - 1))
/// The function is called once for each of `steps` steps when this becomes a Schedule, in order, and never
/// again: the table goes where the step count lives, so that captured graphs and skipped steps follow it.
/// Source: torch.optim.lr_scheduler.LambdaLR. Deviations: tabulated; the last value holds.
/// Errors: InvalidArgument where a range below is left, or where a value is negative or not finite in
/// float32, naming the step. What the function throws passes through.
struct LambdaLR {
  std::function<double(std::int64_t)> lr_lambda;  ///< The factor at a step; must be given.
  std::int64_t steps = 0;                         ///< In [1, 2^26], must be given.

  static ONEPASS_LANE double lr(const schedule::Segment& segment, const double* numbers, double base_lr,
                                std::int64_t t) {
    return base_lr * numbers[segment.first_number + schedule::least(t, segment.number_count - 1)];
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const { return {.kind = schedule::Kind::table}; }
};

}  // namespace onepass
