// sequential_lr.hpp - SequentialLR: one schedule after another.
#pragma once

#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// Applies one schedule after another:
///
///     lr(t) = schedules[i].lr(base_lr, t - milestones[i - 1])     for milestones[i - 1] <= t < milestones[i]
///
/// Each schedule counts its own steps from 0 and starts from the base rate, not from the last rate of the
/// schedule before it. A schedule between equal milestones has no steps, nor has the first one before a
/// milestone at 0: the sequence is then that of the others.
///
/// Source: torch.optim.lr_scheduler.SequentialLR. Deviations: a sequence may contain sequences and chains. If
/// the current schedule does not drive the momentum, the group has its own momentum; PyTorch keeps the one
/// that was set last. With a milestone of 0, the second schedule begins at step 0; in PyTorch step 0 is still
/// the first one's, and the second one comes a step late.
///
/// The conversion to Schedule throws InvalidArgument unless there is one milestone less than schedules, and
/// the milestones are at least 0 and do not decrease.
struct SequentialLR {
  std::vector<Schedule> schedules;
  std::vector<std::int64_t> milestones;  ///< First step of each schedule except the first.
};

}  // namespace onepass
