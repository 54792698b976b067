// step_lr.hpp - StepLR: the rate is multiplied by a factor every step_size steps.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A decay by a factor at regular intervals:
///
///     lr(t) = base_lr * gamma^floor(t / step_size)
///
/// Source: torch.optim.lr_scheduler.StepLR. Deviations: none.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct StepLR {
  std::int64_t step_size = 0;  ///< Number of steps between two decays; >= 1, required.
  double gamma = 0.1;          ///< Factor of each decay; >= 0.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return base_lr * lane::power(gamma, t / step_size);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::step, .parameters = {static_cast<double>(step_size), gamma}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE StepLR of(const schedule::Segment& segment) {
    return {.step_size = schedule::whole(segment.parameters[0]), .gamma = segment.parameters[1]};
  }
};

}  // namespace onepass
