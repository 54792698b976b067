// exponential_lr.hpp - ExponentialLR: the rate falls by a factor every step.
#pragma once

#include "onepass/schedules/step_lr.hpp"

namespace onepass {

/// lr(t) = base_lr * gamma^t
/// Source: torch.optim.lr_scheduler.ExponentialLR. Deviations: none. It is StepLR with a step_size of 1.
/// Errors: InvalidArgument where the range below is left, when it becomes a Schedule.
struct ExponentialLR {
  double gamma = 0.0;  ///< Factor of each step; >= 0, must be given.

  void check() const;
  [[nodiscard]] schedule::Segment segment() const { return StepLR{.step_size = 1, .gamma = gamma}.segment(); }
};

}  // namespace onepass
