// cyclic_lr.hpp - CyclicLR: the rate goes up and down between two bounds, the momentum the other way.
#pragma once

#include <optional>

#include "onepass/schedules/segment.hpp"

namespace onepass {

enum class CyclicMode : std::int32_t {
  triangular,   ///< Every cycle as high as the first.
  triangular2,  ///< Every cycle half as high as the one before.
  exp_range,    ///< Scaled by gamma^t.
};

/// height(t) = scale(t) * (m / step_size_up                  for m <= step_size_up
///                         (period - m) / step_size_down     beyond)
/// where period = step_size_up + step_size_down, m = t mod period, and scale is 1, 2^-floor(t / period) or
/// gamma^t.
///     lr(t)       = base_lr + (max_lr - base_lr) * height(t)
///     momentum(t) = max_momentum - (max_momentum - base_momentum) * height(t)
/// The rates are absolute: the optimizer's own learning rate does not matter. cycle_momentum drives the
/// momentum of SGD and RMSProp, and beta1 of Adam's kind.
/// Source: torch.optim.lr_scheduler.CyclicLR; Smith 2017, arXiv 1506.01186. Deviations: step sizes are whole;
/// gamma is at most 1; for a scale_fn of one's own there is LambdaLR.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct CyclicLR {
  double base_lr = 0.0;                          ///< The lower bound; >= 0, must be given.
  double max_lr = 0.0;                           ///< The upper bound; >= 0, must be given.
  std::int64_t step_size_up = 2000;              ///< Steps of a rise; >= 1.
  std::optional<std::int64_t> step_size_down{};  ///< Steps of a fall; >= 1; if not given, step_size_up.
  CyclicMode mode = CyclicMode::triangular;
  double gamma = 1.0;  ///< For exp_range; in [0, 1].
  bool cycle_momentum = true;
  double base_momentum = 0.8;  ///< The momentum at the upper bound; in [0, 1).
  double max_momentum = 0.9;   ///< The momentum at the lower bound; in [0, 1).

  /// The rest of what a segment needs: an optional is nothing for device code.
  struct Cycle {
    std::int64_t up, down;
    CyclicMode mode;
    double gamma;

    [[nodiscard]] ONEPASS_LANE double height(std::int64_t t) const {
      const std::int64_t period = up + down, place = t % period;
      const double triangle =
          place <= up ? schedule::ratio(place, up) : schedule::ratio(period - place, down);
      switch (mode) {
        case CyclicMode::triangular2:
          return triangle * lane::power(0.5, t / period);
        case CyclicMode::exp_range:
          return triangle * lane::power(gamma, t);
        default:
          return triangle;
      }
    }
  };

  static ONEPASS_LANE void drive(const schedule::Segment& segment, std::int64_t t, Rates& rates) {
    const double* const p = segment.parameters;
    const Cycle cycle{schedule::whole(p[2]), schedule::whole(p[3]),
                      static_cast<CyclicMode>(schedule::whole(p[4])), p[5]};
    const double height = cycle.height(t);
    rates.lr = schedule::line(p[0], p[1], height);
    if (p[6] == 0.0) return;
    rates.momentum = schedule::line(p[8], p[7], height);
    rates.drives_momentum = true;
  }

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return {
        .kind = schedule::Kind::cyclic,
        .parameters = {base_lr, max_lr, static_cast<double>(step_size_up),
                       static_cast<double>(step_size_down.value_or(step_size_up)), static_cast<double>(mode),
                       gamma, cycle_momentum ? 1.0 : 0.0, base_momentum, max_momentum}};
  }
  static CyclicLR of(const schedule::Segment& segment) {
    const double* const p = segment.parameters;
    return {.base_lr = p[0],
            .max_lr = p[1],
            .step_size_up = schedule::whole(p[2]),
            .step_size_down = schedule::whole(p[3]),
            .mode = static_cast<CyclicMode>(schedule::whole(p[4])),
            .gamma = p[5],
            .cycle_momentum = p[6] != 0.0,
            .base_momentum = p[7],
            .max_momentum = p[8]};
  }
};

}  // namespace onepass
