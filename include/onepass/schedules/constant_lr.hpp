// constant_lr.hpp - ConstantLR: a fraction of the rate at first, then all of it.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * factor     for t < total_iters
///         base_lr              from then on
/// Source: torch.optim.lr_scheduler.ConstantLR. Deviations: total_iters = 0 is the base rate from the start,
/// as in PyTorch's closed form; its recursive form then never leaves the factor. A factor of 0 ends, too.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct ConstantLR {
  double factor = 1.0 / 3;       ///< In [0, 1].
  std::int64_t total_iters = 5;  ///< Steps at that fraction; >= 0.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return t < total_iters ? base_lr * factor : base_lr;
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::constant, .parameters = {factor, static_cast<double>(total_iters)}};
  }
  static ONEPASS_LANE ConstantLR of(const schedule::Segment& segment) {
    return {.factor = segment.parameters[0], .total_iters = schedule::whole(segment.parameters[1])};
  }
};

}  // namespace onepass
