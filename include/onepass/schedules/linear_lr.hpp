// linear_lr.hpp - LinearLR: from one fraction of the rate to another in a straight line.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)
/// Source: torch.optim.lr_scheduler.LinearLR. Deviations: start_factor may be 0 (PyTorch's recursive form
/// would divide by it).
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct LinearLR {
  double start_factor = 1.0 / 3;  ///< In [0, 1].
  double end_factor = 1.0;        ///< In [0, 1].
  std::int64_t total_iters = 5;   ///< Steps from one to the other; >= 1.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    const double x = schedule::ratio(schedule::least(t, total_iters), total_iters);
    return base_lr * schedule::line(start_factor, end_factor, x);
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::linear,
            .parameters = {start_factor, end_factor, static_cast<double>(total_iters)}};
  }
  static ONEPASS_LANE LinearLR of(const schedule::Segment& segment) {
    return {.start_factor = segment.parameters[0],
            .end_factor = segment.parameters[1],
            .total_iters = schedule::whole(segment.parameters[2])};
  }
};

}  // namespace onepass
