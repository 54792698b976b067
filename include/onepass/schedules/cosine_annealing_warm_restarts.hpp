// cosine_annealing_warm_restarts.hpp - CosineAnnealingWarmRestarts: half cosines, each from the full rate
// down.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// Half a cosine from the base rate to a minimum, repeated:
///
///     lr(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi T_cur / T_i)) / 2
///
/// T_cur is the number of steps since the last restart. T_i is the number of steps from one restart to the
/// next: T_0 at first, and T_mult times as many after each restart.
///
/// Source: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts; Loshchilov and Hutter 2017, arXiv
/// 1608.03983. Deviations: restarts are computed in whole numbers, where PyTorch's step(epoch) takes a
/// logarithm.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct CosineAnnealingWarmRestarts {
  std::int64_t T_0 = 0;     ///< Number of steps until the first restart; >= 1, required.
  std::int64_t T_mult = 1;  ///< Growth of T_i after each restart; >= 1.
  double eta_min = 0.0;     ///< The minimum: a rate, not a factor; >= 0.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return schedule::half_cosine(share(t)).between(base_lr, eta_min);
  }

  /// Returns T_cur / T_i. The loop runs at most 63 times.
  [[nodiscard]] ONEPASS_LANE double share(std::int64_t t) const {
    if (T_mult == 1) return schedule::ratio(t % T_0, T_0);
    std::int64_t since = t, length = T_0;
    while (since >= length) {
      since -= length;
      // Step t lies before the next restart. Multiplies in double, because the length may overflow 64 bits.
      if (since / T_mult < length) {
        return static_cast<double>(since) / (static_cast<double>(length) * static_cast<double>(T_mult));
      }
      length *= T_mult;
    }
    return schedule::ratio(since, length);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::warm_restarts,
            .parameters = {static_cast<double>(T_0), static_cast<double>(T_mult), eta_min}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE CosineAnnealingWarmRestarts of(const schedule::Segment& segment) {
    return {.T_0 = schedule::whole(segment.parameters[0]),
            .T_mult = schedule::whole(segment.parameters[1]),
            .eta_min = segment.parameters[2]};
  }
};

}  // namespace onepass
