// warm_up.hpp - WarmUp: the rate grows in a straight line, and stays.
#pragma once

#include "onepass/schedules/linear_lr.hpp"

namespace onepass {

/// lr(t) = base_lr * (start_factor + (1 - start_factor) * t / steps)     for t < steps
///         base_lr                                                       from then on
/// It is LinearLR up to a factor of 1. Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2 ("gradual
/// warm-up"). With start_factor = 0 the first step has a rate of 0, as in the schedules of Hugging Face.
/// Errors: InvalidArgument where a range below is left, when it becomes a Schedule.
struct WarmUp {
  std::int64_t steps = 0;     ///< Steps until the full rate; >= 1, must be given.
  double start_factor = 0.0;  ///< Share of the rate at step 0; in [0, 1].

  void check() const;
  [[nodiscard]] schedule::Segment segment() const {
    return LinearLR{.start_factor = start_factor, .end_factor = 1.0, .total_iters = steps}.segment();
  }
};

}  // namespace onepass
