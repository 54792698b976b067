// cosine_annealing_lr.hpp - CosineAnnealingLR: half a cosine down to a minimum, and up again.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi t / T_max)) / 2
/// From T_max on it rises again, with a period of 2 T_max, as in PyTorch: to stay at the minimum, join it to
/// a ConstantLR or LinearLR by SequentialLR.
/// Source: torch.optim.lr_scheduler.CosineAnnealingLR, its closed form; Loshchilov and Hutter 2017, arXiv
/// 1608.03983, without restarts. PyTorch's recursive form agrees as long as nothing else changes the rate.
/// Deviations: none.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct CosineAnnealingLR {
  std::int64_t T_max = 0;  ///< Steps down to the minimum; >= 1, must be given.
  double eta_min = 0.0;    ///< The minimum, a rate and not a factor; >= 0.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return schedule::half_cosine(schedule::ratio(t % (2 * T_max), T_max)).between(base_lr, eta_min);
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::cosine_annealing, .parameters = {static_cast<double>(T_max), eta_min}};
  }
  static ONEPASS_LANE CosineAnnealingLR of(const schedule::Segment& segment) {
    return {.T_max = schedule::whole(segment.parameters[0]), .eta_min = segment.parameters[1]};
  }
};

}  // namespace onepass
