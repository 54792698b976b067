// reduce_lr_on_plateau.hpp - ReduceLROnPlateau: the rate falls when a metric stops improving.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "onepass/stream.hpp"

namespace onepass {

/// No function of the step, but of what the training reports. Each metric, in this order:
///   1. improve:   if it is better than `best`, it is the new best and num_bad_epochs = 0; else one more is
///   bad
///   2. cooldown:  if cooldown_counter > 0, it falls by 1 and num_bad_epochs = 0
///   3. fire:      if num_bad_epochs > patience, the rate becomes max(lr * factor, min_lr), unless that is
///                 less than eps below; cooldown_counter = cooldown and num_bad_epochs = 0
/// Better than best:   mode min: < best * (1 - threshold)   (rel),   < best - threshold   (abs)
///                     mode max: > best * (1 + threshold)   (rel),   > best + threshold   (abs)
/// NaN is never better. Before the first improvement the best is +inf (min) or -inf (max).
/// Source: torch.optim.lr_scheduler.ReduceLROnPlateau. Deviations: none; the arithmetic is the same, double.
///
/// A plain value: its last members are its whole state. To resume, save and restore them.
/// Errors: InvalidArgument where a range below is left, from observe(), reduced() and step(); nothing
/// changes.
struct ReduceLROnPlateau {
  enum class Mode : std::int32_t { min, max };
  enum class Threshold : std::int32_t { rel, abs };

  Mode mode = Mode::min;       ///< Whether the metric should fall or rise.
  double factor = 0.1;         ///< Of the rate, when it fires; in [0, 1).
  std::int64_t patience = 10;  ///< How many bad metrics in a row are borne; >= 0.
  double threshold = 1e-4;     ///< By how much better is better; >= 0.
  Threshold threshold_mode = Threshold::rel;
  std::int64_t cooldown = 0;      ///< Metrics after a fall that cannot be bad; >= 0.
  double min_lr = 0.0;            ///< The rate stops here; >= 0.
  std::vector<double> min_lrs{};  ///< One for each group instead, if not empty.
  double eps = 1e-8;              ///< A smaller fall of the rate is left out; >= 0.

  std::optional<double> best{};       ///< The best metric; none yet.
  std::int64_t num_bad_epochs = 0;    ///< Bad metrics in a row.
  std::int64_t cooldown_counter = 0;  ///< Metrics left of the cooldown.

  /// Takes a metric; true if it fires: every group's rate is to become reduced().
  [[nodiscard]] bool observe(double metric);

  /// The rate of a group after firing at `lr`: the same if the fall would be eps or less.
  [[nodiscard]] double reduced(double lr, std::size_t group = 0) const;

  /// Takes a metric, and on firing sets the learning rate of each group of an Optimizer: asynchronous on
  /// `stream`, for the steps queued after it, replays of captured graphs included. True if it fired.
  template <class Optimizer>
  bool step(double metric, Optimizer& optimizer, Stream stream = {}) {
    check_groups(optimizer.group_count());
    if (!observe(metric)) return false;
    for (std::size_t group = 0; group < optimizer.group_count(); ++group) {
      const double lr = optimizer.rule(group).lr;
      const double changed = reduced(lr, group);
      if (changed != lr) optimizer.set_lr(changed, group, stream);
    }
    return true;
  }

  void check() const;
  /// Throws InvalidArgument unless min_lrs is empty or has one for each group.
  void check_groups(std::size_t groups) const;

  friend bool operator==(const ReduceLROnPlateau&, const ReduceLROnPlateau&) = default;
};

}  // namespace onepass
