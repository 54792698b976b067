#include "onepass/schedules/reduce_lr_on_plateau.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "host/check/sentence.hpp"
#include "host/schedules/schedule_check.hpp"
#include "onepass/rule/check.hpp"

namespace onepass {
namespace {

constexpr const char* kName = "ReduceLROnPlateau";

/// Returns true if the metric is better than the best one. Comparisons with NaN are false, so a NaN metric is
/// never better. Nothing is better either if an infinite best and a threshold of 1 give inf * 0 = NaN, as in
/// PyTorch.
bool better(const ReduceLROnPlateau& plateau, double metric) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool falls = plateau.mode == ReduceLROnPlateau::Mode::min;
  const double best = plateau.best.value_or(falls ? kInfinity : -kInfinity);
  if (plateau.threshold_mode == ReduceLROnPlateau::Threshold::rel) {
    return falls ? metric < best * (1.0 - plateau.threshold) : metric > best * (plateau.threshold + 1.0);
  }
  return falls ? metric < best - plateau.threshold : metric > best + plateau.threshold;
}

}  // namespace

bool ReduceLROnPlateau::observe(double metric) {
  check();
  if (better(*this, metric)) {
    best = metric;
    num_bad_epochs = 0;
  } else {
    ++num_bad_epochs;
  }
  if (cooldown_counter > 0) {
    --cooldown_counter;
    num_bad_epochs = 0;
  }
  if (num_bad_epochs <= patience) return false;
  cooldown_counter = cooldown;
  num_bad_epochs = 0;
  return true;
}

double ReduceLROnPlateau::reduced(double lr, std::size_t group) const {
  check();
  if (!min_lrs.empty() && group >= min_lrs.size()) check_groups(group + 1);
  const double lowest = min_lrs.empty() ? min_lr : min_lrs[group];
  const double next = std::max(lr * factor, lowest);
  return lr - next > eps ? next : lr;
}

void ReduceLROnPlateau::check() const {
  schedule::require_choice({kName, "mode"}, static_cast<std::int64_t>(mode), 2);
  rule::require_unit_interval({kName, "factor"}, factor);
  schedule::require_steps({kName, "patience"}, patience, 0);
  rule::require_nonnegative({kName, "threshold"}, threshold);
  schedule::require_choice({kName, "threshold_mode"}, static_cast<std::int64_t>(threshold_mode), 2);
  schedule::require_steps({kName, "cooldown"}, cooldown, 0);
  rule::require_nonnegative({kName, "min_lr"}, min_lr);
  for (const double lowest : min_lrs) rule::require_nonnegative({kName, "min_lrs"}, lowest);
  rule::require_nonnegative({kName, "eps"}, eps);
  schedule::require_steps({kName, "num_bad_epochs"}, num_bad_epochs, 0);
  schedule::require_steps({kName, "cooldown_counter"}, cooldown_counter, 0);
}

void ReduceLROnPlateau::check_groups(std::size_t groups) const {
  if (min_lrs.empty() || min_lrs.size() == groups) return;
  throw InvalidArgument("onepass: ReduceLROnPlateau.min_lrs has " +
                        elements(static_cast<long long>(min_lrs.size())) + ", but there are " +
                        std::to_string(groups) + " groups");
}

}  // namespace onepass
