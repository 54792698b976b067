// polynomial_lr.hpp - PolynomialLR: the rate falls to 0 as a power of the steps left.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = base_lr * (1 - min(t, total_iters) / total_iters)^power
/// Source: torch.optim.lr_scheduler.PolynomialLR. Deviations: none.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct PolynomialLR {
  std::int64_t total_iters = 5;  ///< Steps until 0; >= 1.
  double power = 1.0;            ///< 1 is a straight line; >= 0.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    const double left = schedule::ratio(total_iters - schedule::least(t, total_iters), total_iters);
    return base_lr * lane::pow(left, power);
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::polynomial, .parameters = {static_cast<double>(total_iters), power}};
  }
  static ONEPASS_LANE PolynomialLR of(const schedule::Segment& segment) {
    return {.total_iters = schedule::whole(segment.parameters[0]), .power = segment.parameters[1]};
  }
};

}  // namespace onepass
