// check.hpp - range checks of hyperparameters, and the errors that they throw.
#pragma once

namespace onepass::rule {

/// The name of a hyperparameter in an error: "onepass: AdamW.beta1 must lie in [0, 1), but is 1.5".
struct Named {
  const char* rule;
  const char* hyperparameter;
};

/// Throws InvalidArgument unless the value is finite in float32, the type of the coefficients.
void require_finite(Named which, double value);
/// Throws InvalidArgument unless the value is finite in float32 and >= 0.
void require_nonnegative(Named which, double value);
/// Throws InvalidArgument unless the value lies in [0, 1).
void require_unit_interval(Named which, double value);
/// Throws InvalidArgument unless the value is finite in float32 and is 0 or at least 1.4e-45: a smaller eps
/// would become 0 in float32.
void require_eps(Named which, double value);
/// Throws InvalidArgument with "onepass: RULE: SENTENCE".
[[noreturn]] void fail(const char* rule, const char* sentence);

}  // namespace onepass::rule
