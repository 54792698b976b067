// linear_lr.hpp - LinearLR: a straight line from one fraction of the rate to another.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A straight line from one fraction of the base rate to another:
///
///     lr(t) = base_lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)
///
/// Source: torch.optim.lr_scheduler.LinearLR. Deviations: start_factor may be 0 (PyTorch's recursive form
/// would divide by it). total_iters may be 0, and gives end_factor from the start (PyTorch's closed form
/// would divide by it, and its recursive form never leaves start_factor).
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct LinearLR {
  double start_factor = 1.0 / 3;  ///< Factor at step 0; in [0, 1].
  double end_factor = 1.0;        ///< Factor from step total_iters on; in [0, 1].
  std::int64_t total_iters = 5;   ///< Number of steps from one factor to the other; >= 0.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    const double x = t < total_iters ? schedule::ratio(t, total_iters) : 1.0;
    return base_lr * schedule::line(start_factor, end_factor, x);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::linear,
            .parameters = {start_factor, end_factor, static_cast<double>(total_iters)}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE LinearLR of(const schedule::Segment& segment) {
    return {.start_factor = segment.parameters[0],
            .end_factor = segment.parameters[1],
            .total_iters = schedule::whole(segment.parameters[2])};
  }
};

}  // namespace onepass
