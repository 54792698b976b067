// exponential_lr.hpp - ExponentialLR: the rate is multiplied by a factor at every step.
#pragma once

#include "onepass/schedules/step_lr.hpp"

namespace onepass {

/// An exponential decay, which is StepLR with a step_size of 1:
///
///     lr(t) = base_lr * gamma^t
///
/// Source: torch.optim.lr_scheduler.ExponentialLR. Deviations: none.
///
/// The conversion to Schedule throws InvalidArgument if gamma is out of range.
struct ExponentialLR {
  double gamma = 0.0;  ///< Factor of each step; >= 0, required.

  /// Throws InvalidArgument if gamma is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const { return StepLR{.step_size = 1, .gamma = gamma}.segment(); }
};

}  // namespace onepass
