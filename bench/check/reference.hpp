// reference.hpp - a step by hand, of the bytes of a window: decode, move each element in float32, encode.
#pragma once

#include <cstdint>
#include <string>

#include "bench/cases/formats.hpp"
#include "bench/cases/rules.hpp"
#include "bench/check/windows.hpp"

namespace onepass::bench {

struct ReferenceStep {
  const RuleChoice& rule;
  const FormatChoice& format;
  int t;               ///< Which step of the optimizer, from 1 on.
  std::uint64_t seed;  ///< Options::seed
};

/// What `before` becomes. `window` says where it lies: random bits are a function of that.
Bytes moved_by_hand(const ReferenceStep& step, const Part& window, const Bytes& before);

/// The largest deviation of float32 streams from what they should be, in units of what rounding explains: 1
/// is 2^-20 of the terms of each sum. The terms are those of the step by hand with all signs taken away,
/// where nothing cancels; 2^-20 is 16 roundings, and no formula here has as many between its input and a
/// result.
double deviation(const ReferenceStep& step, const Part& window, const Bytes& before, const Bytes& expected,
                 const Bytes& actual);

}  // namespace onepass::bench
