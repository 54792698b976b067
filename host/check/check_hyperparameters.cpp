// check_hyperparameters.cpp - the checks of hyperparameters that onepass/rule/check.hpp declares.
#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "onepass/error.hpp"
#include "onepass/rule/check.hpp"

namespace onepass::rule {
namespace {

[[noreturn]] void out_of_range(Named which, double value, const char* range) {
  throw InvalidArgument("onepass: " + std::string(which.rule) + "." + which.hyperparameter + " must " +
                        range + ", but is " + number(value));
}

/// Coefficients are float32. One that overflowed to Inf would turn 0 into NaN.
bool finite_in_float32(double value) { return std::isfinite(static_cast<float>(value)); }

}  // namespace

void require_finite(Named which, double value) {
  if (!finite_in_float32(value)) out_of_range(which, value, "be finite in float32");
}

void require_nonnegative(Named which, double value) {
  if (!(finite_in_float32(value) && value >= 0.0)) {
    out_of_range(which, value, "be at least 0 and finite in float32");
  }
}

void require_unit_interval(Named which, double value) {
  if (!(value >= 0.0 && value < 1.0)) out_of_range(which, value, "lie in [0, 1)");
}

void require_eps(Named which, double value) {
  require_nonnegative(which, value);
  if (value > 0.0 && static_cast<float>(value) == 0.0f) {
    out_of_range(which, value, "be 0 or at least 1.4e-45, the smallest float32");
  }
}

void fail(const char* rule, const char* sentence) {
  throw InvalidArgument("onepass: " + std::string(rule) + ": " + sentence);
}

}  // namespace onepass::rule
