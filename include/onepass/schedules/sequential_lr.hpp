// sequential_lr.hpp - SequentialLR: one schedule after another.
#pragma once

#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// lr(t) = schedules[i].lr(base_lr, t - milestones[i - 1])     for milestones[i - 1] <= t < milestones[i]
/// Each schedule counts its own steps from 0, and starts from the base rate: not from where the one before
/// has ended.
/// Source: torch.optim.lr_scheduler.SequentialLR. Deviations: sequences and chains may lie in a sequence;
/// while no schedule of the current stretch drives the momentum it is the group's own, where PyTorch leaves
/// what was written last. Errors: InvalidArgument unless there is one milestone less than schedules, and
/// milestones increase from at least 1, when it becomes a Schedule.
struct SequentialLR {
  std::vector<Schedule> schedules;
  std::vector<std::int64_t> milestones;
};

}  // namespace onepass
