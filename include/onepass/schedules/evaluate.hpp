// evaluate.hpp - the rates of one step out of segments, on host and device alike.
#pragma once

#include "onepass/schedules/constant_lr.hpp"
#include "onepass/schedules/cosine_annealing_lr.hpp"
#include "onepass/schedules/cosine_annealing_warm_restarts.hpp"
#include "onepass/schedules/cyclic_lr.hpp"
#include "onepass/schedules/lambda_lr.hpp"
#include "onepass/schedules/linear_lr.hpp"
#include "onepass/schedules/multi_step_lr.hpp"
#include "onepass/schedules/one_cycle_lr.hpp"
#include "onepass/schedules/polynomial_lr.hpp"
#include "onepass/schedules/step_lr.hpp"
#include "onepass/schedules/warmup_stable_decay.hpp"

namespace onepass::schedule {

/// One segment at its own step t: the rate so far becomes the next.
ONEPASS_LANE void apply(const Segment& segment, const double* numbers, std::int64_t t, Rates& rates) {
  switch (segment.kind) {
    case Kind::identity:
      break;
    case Kind::step:
      rates.lr = StepLR::of(segment).lr(rates.lr, t);
      break;
    case Kind::multi_step:
      rates.lr = MultiStepLR::lr(segment, numbers, rates.lr, t);
      break;
    case Kind::constant:
      rates.lr = ConstantLR::of(segment).lr(rates.lr, t);
      break;
    case Kind::linear:
      rates.lr = LinearLR::of(segment).lr(rates.lr, t);
      break;
    case Kind::polynomial:
      rates.lr = PolynomialLR::of(segment).lr(rates.lr, t);
      break;
    case Kind::cosine_annealing:
      rates.lr = CosineAnnealingLR::of(segment).lr(rates.lr, t);
      break;
    case Kind::warm_restarts:
      rates.lr = CosineAnnealingWarmRestarts::of(segment).lr(rates.lr, t);
      break;
    case Kind::one_cycle:
      OneCycleLR::of(segment).drive(segment.parameters[10], t, rates);
      break;
    case Kind::cyclic:
      CyclicLR::drive(segment, t, rates);
      break;
    case Kind::warmup_stable_decay:
      rates.lr = WarmupStableDecay::of(segment).lr(rates.lr, t);
      break;
    case Kind::table:
      rates.lr = LambdaLR::lr(segment, numbers, rates.lr, t);
      break;
  }
}

/// The rates at `step`, counted from 0: how many steps came before. Below 0 is 0. No state, no allocation;
/// time grows with the number of segments and not with the step. Inline it in one place: it is some hundreds
/// of instructions.
ONEPASS_LANE Rates evaluate(const View& view, double base_lr, std::int64_t step) {
  const std::int64_t now = step < 0 ? 0 : step;
  Rates rates{.lr = base_lr};
  for (std::int64_t i = 0; i < view.segment_count; ++i) {
    const Segment& segment = view.segments[i];
    const bool over = i + 1 < view.segment_count && view.segments[i + 1].stage == segment.stage &&
                      view.segments[i + 1].begin <= now;
    if (segment.begin <= now && !over) apply(segment, view.numbers, now - segment.begin, rates);
  }
  return rates;
}

}  // namespace onepass::schedule
