// check_hyperparameters.cpp - the checks of hyperparameters that onepass/rule/check.hpp declares.
#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "onepass/error.hpp"
#include "onepass/rule/check.hpp"

namespace onepass::rule {

bool is_finite(double value) { return std::isfinite(static_cast<float>(value)); }
bool is_nonnegative(double value) { return is_finite(value) && value >= 0.0; }
bool is_nonpositive(double value) { return is_finite(value) && value <= 0.0; }
bool is_in_unit_interval(double value) { return value >= 0.0 && value < 1.0; }
bool is_eps(double value) {
  return is_nonnegative(value) && (value == 0.0 || static_cast<float>(value) != 0.0f);
}
bool is_positive(double value) { return is_eps(value) && value > 0.0; }
bool is_growth(double value) { return value >= 1.0; }

void require(Named which, const Range& range, double value) {
  if (range.contains(value)) return;
  throw InvalidArgument("onepass: " + std::string(which.rule) + "." + which.hyperparameter + " must " +
                        range.must + ", but is " + number(value));
}

void fail(const char* rule, const char* sentence) {
  throw InvalidArgument("onepass: " + std::string(rule) + ": " + sentence);
}

}  // namespace onepass::rule
