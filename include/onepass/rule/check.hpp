// check.hpp - range checks of hyperparameters, and the errors that they throw.
#pragma once

namespace onepass {

/// A set of numbers that a hyperparameter may have.
struct Range {
  const char* interval;      ///< "[0, 1)", for tables and help texts.
  const char* must;          ///< "lie in [0, 1)", for errors: "AdamW.beta1 must lie in [0, 1), but is 1.5".
  bool (*contains)(double);  ///< Returns whether a value is allowed.
};

namespace rule {

bool is_finite(double value);
bool is_nonnegative(double value);
bool is_nonpositive(double value);
bool is_in_unit_interval(double value);
bool is_eps(double value);
bool is_positive(double value);
bool is_growth(double value);

// Coefficients are float32. A number that overflows to Inf there would turn 0 into NaN, so every range asks
// for numbers that are finite in float32.
inline constexpr Range kFinite{"finite", "be finite in float32", is_finite};
inline constexpr Range kNonnegative{">= 0", "be at least 0 and finite in float32", is_nonnegative};
inline constexpr Range kNonpositive{"<= 0", "be at most 0 and finite in float32", is_nonpositive};
inline constexpr Range kUnitInterval{"[0, 1)", "lie in [0, 1)", is_in_unit_interval};
/// The smallest float32 is 1.4e-45; a smaller eps would become 0.
inline constexpr Range kEps{">= 0", "be 0, or at least 1.4e-45 and finite in float32", is_eps};
inline constexpr Range kPositive{"> 0", "be at least 1.4e-45 and finite in float32", is_positive};
/// A factor that may be infinite.
inline constexpr Range kGrowth{">= 1", "be at least 1", is_growth};

/// The name of a number in an error: "onepass: AdamW.beta1 must lie in [0, 1), but is 1.5".
struct Named {
  const char* rule;
  const char* hyperparameter;
};

/// Throws InvalidArgument unless the range contains the value.
void require(Named which, const Range& range, double value);
inline void require_finite(Named which, double value) { require(which, kFinite, value); }
inline void require_nonnegative(Named which, double value) { require(which, kNonnegative, value); }
inline void require_unit_interval(Named which, double value) { require(which, kUnitInterval, value); }

/// Throws InvalidArgument with "onepass: RULE: SENTENCE".
[[noreturn]] void fail(const char* rule, const char* sentence);

}  // namespace rule
}  // namespace onepass
