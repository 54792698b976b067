// check.hpp - what a rule says about a hyperparameter that is out of range.
#pragma once

namespace onepass::rule {

/// Names a hyperparameter in an error: "onepass: AdamW.beta1 must lie in [0, 1), but is 1.5".
struct Named {
  const char* rule;
  const char* hyperparameter;
};

/// Each throws InvalidArgument with a full sentence unless the value is finite in float32, the type of the
/// coefficients, and lies in its range.
void require_finite(Named which, double value);
void require_nonnegative(Named which, double value);
void require_unit_interval(Named which, double value);  ///< [0, 1)
/// As nonnegative, and zero or large enough for float32 (1.4e-45): an eps that vanishes is no eps.
void require_eps(Named which, double value);
[[noreturn]] void fail(const char* rule, const char* sentence);

}  // namespace onepass::rule
