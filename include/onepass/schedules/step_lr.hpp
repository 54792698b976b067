// step_lr.hpp - StepLR: the rate falls by a factor every so many steps.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * gamma^floor(t / step_size)
/// Source: torch.optim.lr_scheduler.StepLR. Deviations: none.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct StepLR {
  std::int64_t step_size = 0;  ///< Steps between two falls; >= 1, must be given.
  double gamma = 0.1;          ///< Factor of each fall; >= 0.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return base_lr * lane::power(gamma, t / step_size);
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::step, .parameters = {static_cast<double>(step_size), gamma}};
  }
  static ONEPASS_LANE StepLR of(const schedule::Segment& segment) {
    return {.step_size = schedule::whole(segment.parameters[0]), .gamma = segment.parameters[1]};
  }
};

}  // namespace onepass
