// cyclic_lr.hpp - CyclicLR: the rate rises and falls between two bounds, and the momentum falls and rises.
#pragma once

#include <optional>

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// The height of CyclicLR's cycles.
enum class CyclicMode : std::int32_t {
  triangular,   ///< All cycles have the same height.
  triangular2,  ///< Each cycle is half as high as the one before.
  exp_range,    ///< The height is multiplied by gamma^t.
};

/// A rate that rises and falls between two bounds:
///
///     height(t)   = scale(t) * m / step_size_up                  for m <= step_size_up
///                   scale(t) * (period - m) / step_size_down     for m >  step_size_up
///     lr(t)       = base_lr + (max_lr - base_lr) * height(t)
///     momentum(t) = max_momentum - (max_momentum - base_momentum) * height(t)
///
/// with period = step_size_up + step_size_down and m = t mod period. scale(t) is 1, 2^-floor(t / period) or
/// gamma^t, depending on the mode.
///
/// The rates are absolute: the optimizer's own learning rate is ignored. With cycle_momentum the schedule
/// sets the momentum of SGD and RMSProp, and beta1 of Adam and AdamW.
///
/// Source: torch.optim.lr_scheduler.CyclicLR; Smith 2017, arXiv 1506.01186. Deviations: step sizes are whole
/// numbers; gamma is at most 1; there is no scale_fn (use LambdaLR for your own function).
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct CyclicLR {
  double base_lr = 0.0;                          ///< Lower bound; >= 0, required.
  double max_lr = 0.0;                           ///< Upper bound; >= 0, required.
  std::int64_t step_size_up = 2000;              ///< Number of steps of a rise; >= 1.
  std::optional<std::int64_t> step_size_down{};  ///< Number of steps of a fall; >= 1; default step_size_up.
  CyclicMode mode = CyclicMode::triangular;
  double gamma = 1.0;  ///< Used by exp_range; in [0, 1].
  bool cycle_momentum = true;
  double base_momentum = 0.8;  ///< Momentum at the upper bound; in [0, 1).
  double max_momentum = 0.9;   ///< Momentum at the lower bound; in [0, 1).

  /// The shape of the cycles, for device code, which cannot use std::optional.
  struct Cycle {
    std::int64_t up, down;
    CyclicMode mode;
    double gamma;

    /// Returns height(t).
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

  /// Sets the rate and, if cycle_momentum, the momentum of step t.
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

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {
        .kind = schedule::Kind::cyclic,
        .parameters = {base_lr, max_lr, static_cast<double>(step_size_up),
                       static_cast<double>(step_size_down.value_or(step_size_up)), static_cast<double>(mode),
                       gamma, cycle_momentum ? 1.0 : 0.0, base_momentum, max_momentum}};
  }
  /// Unpacks the parameters of a segment. Host only.
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
