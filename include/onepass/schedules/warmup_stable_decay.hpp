// warmup_stable_decay.hpp - WarmupStableDecay: a warm-up, a constant rate, and a decay at the end.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// The shape of a decay from 1 to 0, x of the way through.
enum class DecayShape : std::int32_t {
  linear,          ///< 1 - x
  cosine,          ///< (1 + cos(pi x)) / 2
  one_minus_sqrt,  ///< 1 - sqrt(x)
};

/// A linear warm-up, a constant rate, and a decay:
///
///     lr(t) = base_lr * (start_factor + (1 - start_factor) * t / warmup_steps)     for warmup_steps
///             base_lr                                                              for stable_steps
///             base_lr * (end_factor + (1 - end_factor) * shape(x))                 for decay_steps
///             base_lr * end_factor                                                 from then on
///
/// x is the share of decay_steps that is over, and shape is DecayShape.
///
/// Source: Hu et al. 2024, arXiv 2404.06395 (MiniCPM), section 4; 1 - sqrt: Haegele et al. 2024, arXiv
/// 2405.18392, section 3.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct WarmupStableDecay {
  std::int64_t warmup_steps = 0;  ///< Number of steps of the warm-up; >= 0.
  std::int64_t stable_steps = 0;  ///< Number of steps with the base rate; >= 0.
  std::int64_t decay_steps = 0;   ///< Number of steps of the decay; >= 1, required.
  double start_factor = 0.0;      ///< Fraction of the base rate at step 0; in [0, 1].
  double end_factor = 0.0;        ///< Fraction of the base rate at the end; in [0, 1].
  DecayShape decay = DecayShape::linear;

  /// Returns the rate at step t.
  [[nodiscard]] ONEPASS_LANE double lr(double base_lr, std::int64_t t) const {
    if (t < warmup_steps) {
      return base_lr * schedule::line(start_factor, 1.0, schedule::ratio(t, warmup_steps));
    }
    const std::int64_t falling = t - warmup_steps - stable_steps;
    if (falling <= 0) return base_lr;
    const double x = schedule::ratio(schedule::least(falling, decay_steps), decay_steps);
    if (decay == DecayShape::cosine) return base_lr * schedule::half_cosine(x).between(1.0, end_factor);
    return base_lr * schedule::line(1.0, end_factor, decay == DecayShape::linear ? x : lane::sqrt(x));
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::warmup_stable_decay,
            .parameters = {static_cast<double>(warmup_steps), static_cast<double>(stable_steps),
                           static_cast<double>(decay_steps), start_factor, end_factor,
                           static_cast<double>(decay)}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE WarmupStableDecay of(const schedule::Segment& segment) {
    const double* const p = segment.parameters;
    return {.warmup_steps = schedule::whole(p[0]),
            .stable_steps = schedule::whole(p[1]),
            .decay_steps = schedule::whole(p[2]),
            .start_factor = p[3],
            .end_factor = p[4],
            .decay = static_cast<DecayShape>(schedule::whole(p[5]))};
  }
};

}  // namespace onepass
