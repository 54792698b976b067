// one_cycle_lr.hpp - OneCycleLR: the rate rises and falls once, and the momentum falls and rises.
#pragma once

#include "onepass/schedules/segment.hpp"

namespace onepass {

/// The shape of OneCycleLR's phases: half a cosine or a straight line.
enum class Anneal : std::int32_t { cos, linear };

/// The 1cycle policy, over steps 0 to total_steps - 1. With initial = max_lr / div_factor and
/// final = initial / final_div_factor:
///
///     phase                 ends at                        lr                  momentum
///     rise                  pct_start * total_steps - 1    initial to max_lr   max to base
///     fall                  total_steps - 1                max_lr to final     base to max
///
/// With three_phase the rate falls to `initial` until step 2 * pct_start * total_steps - 2, and from there to
/// `final` with the momentum at its maximum. From total_steps - 1 on rate and momentum are constant.
///
/// The rates are absolute: the optimizer's own learning rate is ignored. With cycle_momentum the schedule
/// sets the momentum of SGD and RMSProp, and beta1 of Adam and AdamW.
///
/// Source: torch.optim.lr_scheduler.OneCycleLR; Smith and Topin 2018, arXiv 1708.07120. Deviations: PyTorch
/// throws after total_steps. It divides by 0 in a phase without length, which here has the rate of its end.
/// total_steps is required (PyTorch also takes epochs * steps_per_epoch).
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below, or
/// `initial` or `final` is not finite in float32.
struct OneCycleLR {
  double max_lr = 0.0;           ///< Peak rate; >= 0, required.
  std::int64_t total_steps = 0;  ///< Number of steps; >= 1, required.
  double pct_start = 0.3;        ///< Share of the steps in which the rate rises; in [0, 1].
  Anneal anneal_strategy = Anneal::cos;
  bool cycle_momentum = true;
  double base_momentum = 0.85;    ///< Momentum at the peak; in [0, 1).
  double max_momentum = 0.95;     ///< Momentum at both ends; in [0, 1).
  double div_factor = 25.0;       ///< max_lr divided by the first rate; > 0.
  double final_div_factor = 1e4;  ///< The first rate divided by the last; > 0.
  bool three_phase = false;

  /// The place of a step: x of the way through phase 0, 1 or 2.
  struct Place {
    double x;
    int phase;
  };
  /// Returns the place of step t. `rise` is pct_start * total_steps, rounded once, as in PyTorch.
  [[nodiscard]] ONEPASS_LANE Place place(std::int64_t t, double rise) const {
    const auto step = static_cast<double>(schedule::least(t, total_steps - 1));
    const double last = static_cast<double>(total_steps - 1);
    const double first_end = rise - 1.0;
    const double second_end = three_phase ? 2.0 * first_end : last;
    if (step <= first_end) return {through(step, 0.0, first_end), 0};
    if (step <= second_end || !three_phase) return {through(step, first_end, second_end), 1};
    return {through(step, second_end, last), 2};
  }
  /// Returns the share of the phase [begin, end] that is over at `step`; 1 for a phase without length.
  static ONEPASS_LANE double through(double step, double begin, double end) {
    return end > begin ? (step - begin) / (end - begin) : 1.0;
  }

  /// Sets the rate and, if cycle_momentum, the momentum of step t.
  ONEPASS_LANE void drive(double rise, std::int64_t t, Rates& rates) const {
    const auto [x, phase] = place(t, rise);
    const schedule::Weights weights =
        anneal_strategy == Anneal::cos ? schedule::half_cosine(x) : schedule::Weights{1.0 - x, x};
    const double initial_lr = max_lr / div_factor;
    const double final_lr = initial_lr / final_div_factor;
    const double end_lr = phase == 0 ? max_lr : phase == 1 && three_phase ? initial_lr : final_lr;
    rates.lr = weights.between(phase == 1 ? max_lr : initial_lr, end_lr);
    if (!cycle_momentum) return;
    rates.momentum = phase == 2   ? max_momentum
                     : phase == 0 ? weights.between(max_momentum, base_momentum)
                                  : weights.between(base_momentum, max_momentum);
    rates.drives_momentum = true;
  }

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment, and `rise` as parameter 10.
  [[nodiscard]] schedule::Segment segment() const {
    return {.kind = schedule::Kind::one_cycle,
            .parameters = {max_lr, static_cast<double>(total_steps), pct_start,
                           static_cast<double>(anneal_strategy), cycle_momentum ? 1.0 : 0.0, base_momentum,
                           max_momentum, div_factor, final_div_factor, three_phase ? 1.0 : 0.0,
                           pct_start * static_cast<double>(total_steps)}};
  }
  /// Unpacks the parameters of a segment.
  static ONEPASS_LANE OneCycleLR of(const schedule::Segment& segment) {
    const double* const p = segment.parameters;
    return {.max_lr = p[0],
            .total_steps = schedule::whole(p[1]),
            .pct_start = p[2],
            .anneal_strategy = static_cast<Anneal>(schedule::whole(p[3])),
            .cycle_momentum = p[4] != 0.0,
            .base_momentum = p[5],
            .max_momentum = p[6],
            .div_factor = p[7],
            .final_div_factor = p[8],
            .three_phase = p[9] != 0.0};
  }
};

}  // namespace onepass
