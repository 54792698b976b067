// chained_scheduler.hpp - ChainedScheduler: schedules at once, each on top of the one before.
#pragma once

#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// lr(t) = schedules[n](... schedules[1](schedules[0](base_lr, t), t) ..., t)
/// The rate of each is the base rate of the next: factors multiply. One whose rates are absolute, OneCycleLR
/// or CyclicLR, forgets what came before it; the last to drive the momentum has it.
/// Source: torch.optim.lr_scheduler.ChainedScheduler. Deviations: there a schedule that is not a factor
/// (CosineAnnealingLR with an eta_min) moves whatever the others have left of the rate, and a SequentialLR
/// drops their factors at its milestones: the rate depends on its path. Here it is a function of the step.
/// For factors both agree. Errors: InvalidArgument without schedules, when it becomes a Schedule.
struct ChainedScheduler {
  std::vector<Schedule> schedules;
};

}  // namespace onepass
