// lambda_lr.hpp - LambdaLR: your own function of the step.
#pragma once

#include <functional>

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// Your own function of the step:
///
///     lr(t) = base_lr * lr_lambda(min(t, steps - 1))
///
/// The conversion to Schedule calls the function once for each of `steps` steps, in order, and stores the
/// results in a table. The optimizer keeps the table in the same memory as the step count, so captured graphs
/// and skipped steps follow it. The function is not called again.
///
/// Source: torch.optim.lr_scheduler.LambdaLR. Deviations: the function is tabulated, and its last value holds
/// for all later steps.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below, or if
/// the function returns a value that is negative or not finite in float32 (the message names the step). It
/// passes on any exception of the function.
struct LambdaLR {
  std::function<double(std::int64_t)> lr_lambda;  ///< Returns the factor at a step; required.
  std::int64_t steps = 0;                         ///< Number of tabulated steps; in [1, 2^26], required.

  /// Returns the rate at step t, with the table in `numbers`.
  static ONEPASS_LANE double lr(const schedule::Segment& segment, const double* numbers, double base_lr,
                                std::int64_t t) {
    return base_lr * numbers[segment.first_number + schedule::least(t, segment.number_count - 1)];
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Returns a segment for a table that is not filled yet.
  [[nodiscard]] schedule::Segment segment() const { return {.kind = schedule::Kind::table}; }
};

}  // namespace onepass
