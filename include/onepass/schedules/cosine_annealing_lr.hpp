// cosine_annealing_lr.hpp - CosineAnnealingLR: half a cosine down to a minimum, and half a cosine up again.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// A cosine between the base rate and a minimum:
///
///     lr(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi t / T_max)) / 2
///
/// From T_max on the rate rises again, with a period of 2 T_max, as in PyTorch. To stay at the minimum, put a
/// ConstantLR or LinearLR after it with SequentialLR.
///
/// Source: the closed form of torch.optim.lr_scheduler.CosineAnnealingLR; Loshchilov and Hutter 2017, arXiv
/// 1608.03983, without restarts. PyTorch's recursive form agrees as long as nothing else changes the rate.
/// Deviations: none.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct CosineAnnealingLR {
  std::int64_t T_max = 0;  ///< Number of steps down to the minimum; >= 1, required.
  double eta_min = 0.0;    ///< The minimum: a rate, not a factor; >= 0.

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return schedule::half_cosine(schedule::ratio(t % (2 * T_max), T_max)).between(base_lr, eta_min);
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::cosine_annealing, .parameters = {static_cast<double>(T_max), eta_min}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE CosineAnnealingLR of(const schedule::Segment& segment) {
    return {.T_max = schedule::whole(segment.parameters[0]), .eta_min = segment.parameters[1]};
  }
};

}  // namespace onepass
