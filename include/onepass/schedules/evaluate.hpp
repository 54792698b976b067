// evaluate.hpp - evaluates the segments of a schedule at one step, on host and device.
#pragma once

#include "onepass/schedules/visit.hpp"

namespace onepass::schedule {

/// Applies one segment at its own step t: replaces the rate so far in `rates` by the segment's.
struct Apply {
  const Segment& segment;
  const double* numbers;
  std::int64_t t;
  Rates& rates;

  template <class Parameters>
  ONEPASS_LANE void operator()(std::type_identity<Parameters>) const {
    rates.lr = Parameters::of(segment).lr(rates.lr, t);
  }
  ONEPASS_LANE void operator()(std::type_identity<Identity>) const {}
  ONEPASS_LANE void operator()(std::type_identity<MultiStepLR>) const {
    rates.lr = MultiStepLR::lr(segment, numbers, rates.lr, t);
  }
  ONEPASS_LANE void operator()(std::type_identity<OneCycleLR>) const {
    OneCycleLR::of(segment).drive(segment.parameters[10], t, rates);
  }
  ONEPASS_LANE void operator()(std::type_identity<CyclicLR>) const { CyclicLR::drive(segment, t, rates); }
  ONEPASS_LANE void operator()(std::type_identity<LambdaLR>) const {
    rates.lr = LambdaLR::lr(segment, numbers, rates.lr, t);
  }
};

/// Returns the rates at `step`, the number of steps completed before; a negative step counts as 0. It keeps
/// no state and does not allocate. Its time grows with the number of segments but not with the step. Inline
/// it in one place only: it is some hundreds of instructions.
ONEPASS_LANE Rates evaluate(const View& view, double base_lr, std::int64_t step) {
  const std::int64_t now = step < 0 ? 0 : step;
  Rates rates{.lr = base_lr};
  for (std::int64_t i = 0; i < view.segment_count; ++i) {
    const Segment& segment = view.segments[i];
    const bool over = i + 1 < view.segment_count && view.segments[i + 1].stage == segment.stage &&
                      view.segments[i + 1].begin <= now;
    const Apply apply{segment, view.numbers, now - segment.begin, rates};
    if (segment.begin <= now && !over) visit(segment, apply);
  }
  return rates;
}

}  // namespace onepass::schedule
