// reference.hpp - a step by hand on the bytes of a window: decode, step each element in float32, encode.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/cases/formats.hpp"
#include "bench/cases/rules.hpp"
#include "bench/check/windows.hpp"

namespace onepass::bench {

struct ReferenceStep {
  const RuleChoice& rule;
  const FormatChoice& format;
  int t;                             ///< Number of the step, counted from 1.
  std::uint64_t seed;                ///< Options::seed
  std::vector<double> scalars = {};  ///< What the tensor carries for the rule before the step.
};

/// Returns the bytes after the step by hand, which the rule must have. The random bits depend on the place of
/// `window`.
Bytes moved_by_hand(const ReferenceStep& step, const Part& window, const Bytes& before);

/// Returns the largest deviation of float32 streams from the expected values, in units of the allowed
/// rounding error: 2^-20 times the terms of each sum. The terms are computed by the step by hand on absolute
/// values, so that nothing cancels. 2^-20 is 16 roundings; every formula here has fewer between its inputs
/// and a result.
double deviation(const ReferenceStep& step, const Part& window, const Bytes& before, const Bytes& expected,
                 const Bytes& actual);

}  // namespace onepass::bench
