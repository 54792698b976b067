// constant_lr.hpp - ConstantLR: a fraction of the rate at first, then the full rate.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A fraction of the base rate for the first steps:
///
///     lr(t) = base_lr * factor     for t < total_iters
///             base_lr              from then on
///
/// Source: torch.optim.lr_scheduler.ConstantLR. Deviations: total_iters = 0 gives the base rate from the
/// start, as in PyTorch's closed form (PyTorch's recursive form never leaves the factor then). A factor of 0
/// also ends after total_iters.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct ConstantLR {
  double factor = 1.0 / 3;       ///< In [0, 1].
  std::int64_t total_iters = 5;  ///< Number of steps with the factor; >= 0.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return t < total_iters ? base_lr * factor : base_lr;
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::constant, .parameters = {factor, static_cast<double>(total_iters)}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE ConstantLR of(const schedule::Segment& segment) {
    return {.factor = segment.parameters[0], .total_iters = schedule::whole(segment.parameters[1])};
  }
};

}  // namespace onepass
