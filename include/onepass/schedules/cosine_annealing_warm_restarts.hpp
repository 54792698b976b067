// cosine_annealing_warm_restarts.hpp - CosineAnnealingWarmRestarts: half cosines, each from the full rate.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// lr(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi T_cur / T_i)) / 2
/// where T_cur counts the steps since the last restart, and the stretch T_i is T_0 steps long at first and
/// T_mult times longer after each restart.
/// Source: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts; Loshchilov and Hutter 2017, arXiv
/// 1608.03983. Deviations: restarts are found in whole numbers, where PyTorch's step(epoch) takes a
/// logarithm. Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct CosineAnnealingWarmRestarts {
  std::int64_t T_0 = 0;     ///< Steps until the first restart; >= 1, must be given.
  std::int64_t T_mult = 1;  ///< Growth of a stretch; >= 1.
  double eta_min = 0.0;     ///< The minimum, a rate and not a factor; >= 0.

  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    return schedule::half_cosine(share(t)).between(base_lr, eta_min);
  }

  /// T_cur / T_i. At most 63 turns of the loop.
  [[nodiscard]] ONEPASS_LANE double share(std::int64_t t) const {
    if (T_mult == 1) return schedule::ratio(t % T_0, T_0);
    std::int64_t since = t, length = T_0;
    while (since >= length) {
      since -= length;
      // The next stretch is the right one; its length may be more than 64 bits hold.
      if (since / T_mult < length) {
        return static_cast<double>(since) / (static_cast<double>(length) * static_cast<double>(T_mult));
      }
      length *= T_mult;
    }
    return schedule::ratio(since, length);
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::warm_restarts,
            .parameters = {static_cast<double>(T_0), static_cast<double>(T_mult), eta_min}};
  }
  static ONEPASS_LANE CosineAnnealingWarmRestarts of(const schedule::Segment& segment) {
    return {.T_0 = schedule::whole(segment.parameters[0]),
            .T_mult = schedule::whole(segment.parameters[1]),
            .eta_min = segment.parameters[2]};
  }
};

}  // namespace onepass
