// cosine_annealing_lr.hpp - CosineAnnealingLR: half a cosine down to a minimum, and there or up again.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A cosine between the base rate and a minimum:
///
///     lr(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi t / T_max)) / 2
///
/// From T_max on the rate rises again, with a period of 2 T_max, as in PyTorch. With hold_minimum it stays at
/// the minimum:
///
///     lr(t) = eta_min     for t >= T_max
///
/// Source: the closed form of torch.optim.lr_scheduler.CosineAnnealingLR; Loshchilov and Hutter 2017, arXiv
/// 1608.03983, without restarts. PyTorch's recursive form agrees as long as nothing else changes the rate.
/// Deviations: none without hold_minimum, which PyTorch does not have.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct CosineAnnealingLR {
  std::int64_t T_max = 0;     ///< Number of steps down to the minimum; >= 1, required.
  double eta_min = 0.0;       ///< The minimum: a rate, not a factor; >= 0.
  bool hold_minimum = false;  ///< False: rises again after T_max.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    const std::int64_t place = hold_minimum ? schedule::least(t, T_max) : t % (2 * T_max);
    return schedule::half_cosine(schedule::ratio(place, T_max)).between(base_lr, eta_min);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::cosine_annealing,
            .parameters = {static_cast<double>(T_max), eta_min, hold_minimum ? 1.0 : 0.0}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE CosineAnnealingLR of(const schedule::Segment& segment) {
    return {.T_max = schedule::whole(segment.parameters[0]),
            .eta_min = segment.parameters[1],
            .hold_minimum = segment.parameters[2] != 0.0};
  }
};

}  // namespace onepass
