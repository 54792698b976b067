// number.hpp - a float64 number with a bound on the error of the same computation in float32.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace reference {

/// Rounding error that one step may make in float32, in ulp of the magnitude. Every test uses this bound.
constexpr double kUlps = 8.0;
/// Largest ratio of one ulp of a float32 to the float32 itself.
constexpr double kUlp = 0x1p-23;

/// A value in float64 and the magnitude of the terms that were added up to it.
///
/// The float32 computation of a sum is off by some ulp of its largest term, not of its result: after
/// cancellation the result is small, but the error is not. So each operation carries, beside the value, the
/// sum of the absolute values of its terms. The excess, magnitude - |value|, behaves as an error does: a
/// derivative multiplies it.
///
/// In a run of many steps, each step starts from a number that is already off. carried() makes that error
/// the excess of the next step's argument. Magnitudes then follow the recurrence of the rounding error,
///     error(t + 1) = |derivative| * error(t) + kUlps * kUlp * terms(t)
/// and tolerance() bounds the distance of a float32 run after any number of steps. An average with weight w
/// forgets errors: its derivative is 1 - w, so its error settles at that of terms / w. A parameter
/// accumulates the error of every step. The bound is of first order in the error, except for the root. Below
/// FLT_MIN floats are evenly spaced, so the magnitude of a result is never taken smaller than FLT_MIN.
struct Number {
  double value = 0.0;
  double magnitude = 0.0;

  constexpr Number() = default;
  constexpr Number(double exact) : Number(exact, exact < 0 ? -exact : exact) {}  // NOLINT: implicit
  constexpr Number(double value, double magnitude) : value(value), magnitude(magnitude) {}

  [[nodiscard]] double excess() const { return magnitude - std::fabs(value); }
  /// Returns the number as an argument of the next step, whose excess is the error so far.
  [[nodiscard]] Number carried() const { return {value, std::fabs(value) + magnitude}; }
  [[nodiscard]] double tolerance() const { return kUlps * kUlp * std::max(magnitude, double{FLT_MIN}); }
};

/// Returns a result whose excess is `excess`: that of its arguments, times the derivatives.
inline Number rounded(double value, double excess) {
  return {value, std::max(std::fabs(value) + excess, double{FLT_MIN})};
}

inline Number operator-(Number a) { return {-a.value, a.magnitude}; }

inline Number operator+(Number a, Number b) {
  return {a.value + b.value, std::max(a.magnitude + b.magnitude, double{FLT_MIN})};
}

inline Number operator-(Number a, Number b) { return a + -b; }

inline Number operator*(Number a, Number b) {
  return rounded(a.value * b.value, std::fabs(a.value) * b.excess() + std::fabs(b.value) * a.excess());
}

/// An infinite divisor has no excess, and the quotient no error: it is 0 or NaN.
inline Number operator/(Number a, Number b) {
  const double quotient = a.value / b.value;
  if (std::isinf(b.value)) return rounded(quotient, 0.0);
  return rounded(quotient, (a.excess() + std::fabs(quotient) * b.excess()) / std::fabs(b.value));
}

/// At 0 the derivative of the root is infinite, but its error is not: |sqrt(x + e) - sqrt(x)| is at most
/// |e| / sqrt(x), and at most sqrt(|e|).
inline Number sqrt(Number a) {
  const double root = std::sqrt(a.value);
  const double error_at_zero = std::sqrt(a.excess() / (kUlps * kUlp));
  return rounded(root, root > 0 ? std::min(a.excess() / root, error_at_zero) : error_at_zero);
}

/// Returns the larger number, or NaN if either is NaN.
inline Number max(Number a, Number b) {
  const bool first = a.value > b.value || std::isnan(a.value);
  return {first ? a.value : b.value, std::max(a.magnitude, b.magnitude)};
}

inline Number min(Number a, Number b) { return -max(-a, -b); }

inline Number abs(Number a) { return {std::fabs(a.value), a.magnitude}; }

/// Returns a, with a tolerance that holds b too: for a choice that float32 may make otherwise. One ulp of a
/// magnitude is at least half of kUlp times it.
inline Number covering(Number a, Number b) {
  const double apart = std::fabs(a.value - b.value) / (kUlps * kUlp / 2);
  return rounded(a.value, std::max(a.excess(), std::isinf(b.value) ? apart : apart + b.excess()));
}

/// Returns a limited to [-limit, limit]. Where it is outside by more than its error, float32 limits it too.
inline Number clamp(Number a, double limit) {
  if (std::isinf(a.value) || std::fabs(a.value) - a.tolerance() > limit) return std::copysign(limit, a.value);
  const double whole = 2.0 * limit / (kUlps * kUlp);  // the excess of a number that may be anywhere
  return rounded(std::clamp(a.value, -limit, limit), std::min(whole, a.excess()));
}

/// Returns whether float32 may find another sign: the number is as small as its error. A number that is 0
/// because all its terms are 0 is 0 in float32 too.
inline bool may_change_sign(Number a) {
  const bool all_zero = a.value == 0.0 && a.magnitude <= double{FLT_MIN};
  return !all_zero && std::fabs(a.value) <= a.tolerance();
}

/// Returns 1, -1, or 0 for 0; NaN for NaN. The tolerance holds all of them where float32 may find another
/// sign.
inline Number sign(Number a) {
  const double own = a.value > 0.0 ? 1.0 : a.value < 0.0 ? -1.0 : a.value;
  if (!may_change_sign(a)) return {own};
  return covering(covering(Number(own), Number(1.0)), Number(-1.0));
}

/// Returns the moving average (1 - weight) * old + weight * fresh, as old + weight * (fresh - old). An
/// infinite average becomes NaN in the next step, because Inf - Inf is NaN.
inline Number average(Number old, Number fresh, double weight) {
  return {old.value + weight * (fresh.value - old.value),
          std::max((1.0 - weight) * old.magnitude + weight * fresh.magnitude, double{FLT_MIN})};
}

/// The sum of the squares of a tensor's numbers.
class SumOfSquares {
 public:
  void add(Number x) { sum_ = sum_ + x * x; }
  [[nodiscard]] Number sum() const { return sum_; }
  [[nodiscard]] double value() const { return sum_.value; }
  [[nodiscard]] Number norm() const { return sqrt(sum_); }

 private:
  Number sum_;
};

}  // namespace reference
