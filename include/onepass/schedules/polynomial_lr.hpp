// polynomial_lr.hpp - PolynomialLR: the rate falls to 0 as a power of the remaining steps.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A polynomial decay to 0:
///
///     lr(t) = base_lr * (1 - min(t, total_iters) / total_iters)^power
///
/// Source: torch.optim.lr_scheduler.PolynomialLR. Deviations: none.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct PolynomialLR {
  std::int64_t total_iters = 5;  ///< Number of steps until the rate is 0; >= 1.
  double power = 1.0;            ///< Exponent; >= 0. 1 gives a straight line.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    const double left = schedule::ratio(total_iters - schedule::least(t, total_iters), total_iters);
    return base_lr * lane::pow(left, power);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::polynomial, .parameters = {static_cast<double>(total_iters), power}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE PolynomialLR of(const schedule::Segment& segment) {
    return {.total_iters = schedule::whole(segment.parameters[0]), .power = segment.parameters[1]};
  }
};

}  // namespace onepass
