// rounded_once.hpp - checks that a float32 number was computed in double and rounded once.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "support/numbers/compare.hpp"

namespace onepass::test {

/// Accepts half an ulp, and a hundredth more for the double arithmetic before the rounding: beta^t is off by
/// t half ulps of double, which 1 - beta^t can amplify to 1e-10.
inline testing::AssertionResult rounded_once(float actual, long double exact) {
  const auto error = std::fabs(static_cast<long double>(actual) - exact);
  const auto ulp = static_cast<long double>(ulp_of(static_cast<double>(std::fabs(exact))));
  if (error <= 0.51L * ulp) return testing::AssertionSuccess();
  return testing::AssertionFailure() << shown(actual) << " is " << static_cast<double>(error / ulp)
                                     << " ulp from " << static_cast<double>(exact);
}

}  // namespace onepass::test
