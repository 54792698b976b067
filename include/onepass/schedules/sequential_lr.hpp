// sequential_lr.hpp - SequentialLR: one schedule after another.
#pragma once

#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// Applies one schedule after another:
///
///     lr(t) = schedules[i].lr(base_lr, t - milestones[i - 1])     for milestones[i - 1] <= t < milestones[i]
///
/// Each schedule counts its own steps from 0 and starts from the base rate, not from the last rate of the
/// schedule before it.
///
/// Source: torch.optim.lr_scheduler.SequentialLR. Deviations: a sequence may contain sequences and chains. If
/// the current schedule does not drive the momentum, the group has its own momentum; PyTorch keeps the one
/// that was set last.
///
/// The conversion to Schedule throws InvalidArgument unless there is one milestone less than schedules, and
/// the milestones are at least 1 and increase.
struct SequentialLR {
  std::vector<Schedule> schedules;
  std::vector<std::int64_t> milestones;  ///< First step of each schedule except the first.
};

}  // namespace onepass
