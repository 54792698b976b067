// warm_up.hpp - WarmUp: the rate rises in a straight line to the full rate.
#pragma once

#include "onepass/schedules/linear_lr.hpp"

namespace onepass {

/// A linear warm-up to the base rate, which is LinearLR with an end_factor of 1:
///
///     lr(t) = base_lr * (start_factor + (1 - start_factor) * t / steps)     for t < steps
///             base_lr                                                       from then on
///
/// Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2 ("gradual warm-up"). With start_factor = 0 the
/// first step has a rate of 0, as in the schedules of Hugging Face. With steps = 0 there is no warm-up.
///
/// The conversion to Schedule throws InvalidArgument if a parameter is outside the range given below.
struct WarmUp {
  std::int64_t steps = 0;     ///< Number of steps until the full rate; >= 0. 0: none.
  double start_factor = 0.0;  ///< Fraction of the base rate at step 0; in [0, 1].

  /// Throws InvalidArgument if a parameter is out of range.
  void check() const;
  /// Packs the parameters into a segment.
  [[nodiscard]] schedule::Segment segment() const {
    return LinearLR{.start_factor = start_factor, .end_factor = 1.0, .total_iters = steps}.segment();
  }
};

}  // namespace onepass
