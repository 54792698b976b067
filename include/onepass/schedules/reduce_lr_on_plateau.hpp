// reduce_lr_on_plateau.hpp - ReduceLROnPlateau: the rate falls when a metric stops improving.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "onepass/stream.hpp"

namespace onepass {

/// Reduces the rate when a metric stops improving. It is a function of the metrics that the training reports,
/// not of the step. Each metric does the following, in this order:
///
/// 1. Improve: if the metric is better than `best`, it becomes `best`, and num_bad_epochs = 0. Otherwise
///    num_bad_epochs grows by 1.
/// 2. Cool down: if cooldown_counter > 0, it falls by 1, and num_bad_epochs = 0.
/// 3. Fire: if num_bad_epochs > patience, the rate becomes max(lr * factor, min_lr), or stays if that would
///    lower it by eps or less. In both cases cooldown_counter = cooldown and num_bad_epochs = 0.
///
/// A metric is better than `best` if
///
///     mode min: metric < best * (1 - threshold)   (rel),   metric < best - threshold   (abs)
///     mode max: metric > best * (1 + threshold)   (rel),   metric > best + threshold   (abs)
///
/// NaN is never better. Before the first improvement `best` counts as +inf (min) or -inf (max).
///
/// Source: torch.optim.lr_scheduler.ReduceLROnPlateau. Deviations: none; the arithmetic is the same, in
/// double.
///
/// It is a plain value, and its last three members (from `best` on) are its whole state. To resume, save and
/// restore them. observe(), reduced() and step() throw InvalidArgument, having changed nothing, if a member
/// is outside the range given below.
struct ReduceLROnPlateau {
  /// The direction in which the metric improves.
  enum class Mode : std::int32_t { min, max };
  /// The meaning of `threshold`: relative to `best`, or absolute.
  enum class Threshold : std::int32_t { rel, abs };

  Mode mode = Mode::min;       ///< min if the metric should fall, max if it should rise.
  double factor = 0.1;         ///< Factor of the rate when it fires; in [0, 1).
  std::int64_t patience = 10;  ///< Number of bad metrics in a row that do not fire yet; >= 0.
  double threshold = 1e-4;     ///< Smallest improvement that counts; >= 0.
  Threshold threshold_mode = Threshold::rel;
  std::int64_t cooldown = 0;      ///< Number of metrics after firing that do not count as bad; >= 0.
  double min_lr = 0.0;            ///< Lower bound of the rate; >= 0.
  std::vector<double> min_lrs{};  ///< If not empty: lower bound of each group's rate, in place of min_lr.
  double eps = 1e-8;              ///< The rate does not change if it would fall by this much or less; >= 0.

  std::optional<double> best{};       ///< Best metric so far; empty before the first improvement.
  std::int64_t num_bad_epochs = 0;    ///< Number of bad metrics in a row; >= 0.
  std::int64_t cooldown_counter = 0;  ///< Number of metrics left of the cooldown; >= 0.

  /// Processes a metric. Returns true if it fires; the rate of every group should then become reduced().
  [[nodiscard]] bool observe(double metric);

  /// Returns the rate of a group after firing at the rate `lr`; `lr` itself if it would fall by eps or less.
  /// Throws InvalidArgument also if min_lrs has no bound for the group.
  [[nodiscard]] double reduced(double lr, std::size_t group = 0) const;

  /// Processes a metric, and if it fires sets the learning rate of each group of an Optimizer with
  /// Optimizer::set_lr(): asynchronous on `stream`, for steps queued after this call, including replays of a
  /// captured graph. Returns true if it fired. Throws InvalidArgument also as check_groups() does.
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

  /// Throws InvalidArgument if a member is out of range.
  void check() const;
  /// Throws InvalidArgument unless min_lrs is empty or has one bound for each group.
  void check_groups(std::size_t groups) const;

  friend bool operator==(const ReduceLROnPlateau&, const ReduceLROnPlateau&) = default;
};

}  // namespace onepass
