// number.hpp - a float64 number that knows how far a float32 computation of it may be off.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace reference {

/// Roundings of float32, in ulp of the magnitude, that one step may make; the bound of every test.
constexpr double kUlps = 8.0;
/// One ulp of a float32 is at most this share of it.
constexpr double kUlp = 0x1p-23;

/// A value in float64 and the magnitude of the terms that it was added up from.
///
/// A float32 computation of a sum is off by some ulp of its largest term, not of the result: after
/// cancellation the result is small and the error is not. So each operation carries, beside the value, the
/// sum of its terms' absolute values. What exceeds |value|, the excess, behaves as an error does: a
/// derivative multiplies it.
///
/// A run of many steps starts each from a number that is off already: carried() makes that error the excess
/// of the next step's argument. Magnitudes then follow the recurrence of the rounding error,
///     error(t + 1) = |derivative| * error(t) + kUlps * kUlp * terms(t)
/// and tolerance() bounds the distance of a float32 run after any number of steps: an average with weight w
/// forgets (its derivative is 1 - w, so that the error settles at that of terms / w), the parameter gathers
/// the error of every step. To first order in the error, but for the root.
/// Below FLT_MIN floats are evenly spaced: a result's magnitude is never taken smaller.
struct Number {
  double value = 0.0;
  double magnitude = 0.0;

  constexpr Number() = default;
  constexpr Number(double exact) : Number(exact, exact < 0 ? -exact : exact) {}  // NOLINT: implicit
  constexpr Number(double value, double magnitude) : value(value), magnitude(magnitude) {}

  [[nodiscard]] double excess() const { return magnitude - std::fabs(value); }
  /// Beside the float32 number that it stands for, for the next step.
  [[nodiscard]] Number carried() const { return {value, std::fabs(value) + magnitude}; }
  [[nodiscard]] double tolerance() const { return kUlps * kUlp * std::max(magnitude, double{FLT_MIN}); }
};

/// A result whose arguments' excess, times the derivatives, is `excess`.
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

inline Number operator/(Number a, Number b) {
  const double quotient = a.value / b.value;
  return rounded(quotient, (a.excess() + std::fabs(quotient) * b.excess()) / std::fabs(b.value));
}

/// The derivative of the root is infinite at 0, its error is not: |sqrt(x + e) - sqrt(x)| is at most
/// |e| / sqrt(x), and at most sqrt(|e|).
inline Number sqrt(Number a) {
  const double root = std::sqrt(a.value);
  const double error_at_zero = std::sqrt(a.excess() / (kUlps * kUlp));
  return rounded(root, root > 0 ? std::min(a.excess() / root, error_at_zero) : error_at_zero);
}

/// The larger one; NaN if either is.
inline Number max(Number a, Number b) {
  const bool first = a.value > b.value || std::isnan(a.value);
  return {first ? a.value : b.value, std::max(a.magnitude, b.magnitude)};
}

/// The moving average (1 - weight) * old + weight * fresh, as old + weight * (fresh - old): an infinite
/// average is undefined from the next step on, as Inf - Inf is.
inline Number average(Number old, Number fresh, double weight) {
  return {old.value + weight * (fresh.value - old.value),
          std::max((1.0 - weight) * old.magnitude + weight * fresh.magnitude, double{FLT_MIN})};
}

}  // namespace reference
