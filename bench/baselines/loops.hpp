// loops.hpp - the baselines without a fused kernel: a scalar loop for each rule, and the elementwise passes
// that BLAS does not have.
#pragma once

#include <cstdint>

#include "bench/cases/plain_rules.hpp"
#include "onepass/cpu.hpp"

namespace onepass::bench {

/// The float32 streams of one tensor, starting at some element.
struct FloatStreams {
  float* param;
  const float* grad;
  float* states[plain::kMaxStates];
};

/// The plain scalar loop: a whole step in one pass, one element after the other.
using ScalarLoop = void (*)(const plain::Numbers& k, const FloatStreams& at, std::int64_t count);

/// Passes over `count` elements.
struct Passes {
  void (*add_squares)(float* sum, const float* x, float weight, std::int64_t count);  ///< sum += weight x^2
  void (*maximum)(float* largest, const float* x, std::int64_t count);
  /// to = above / sqrt(x + eps)
  void (*over_root)(float* to, const float* above, const float* x, float eps, std::int64_t count);
  /// to = above / sqrt(max(x - mean^2, 0) + eps)
  void (*over_deviation)(float* to, const float* above, const float* x, const float* mean, float eps,
                         std::int64_t count);
  void (*roots)(float* to, const float* x, float factor, float eps,
                std::int64_t count);                                       ///< to = sqrt(x) factor + eps
  void (*quotient)(float* below, const float* above, std::int64_t count);  ///< below = above / below
};

struct Loops {
  const ScalarLoop* scalar;  ///< One for each hand-written step, in the order of plain_steps().
  const Passes* passes;
};
template <Isa kIsa>
Loops baseline_loops();

/// Returns the loops for `isa`, which must be available on this machine and not Isa::best.
Loops baseline_loops(Isa isa);

}  // namespace onepass::bench
