// chained_scheduler.hpp - ChainedScheduler: several schedules at the same time, each applied to the last.
#pragma once

#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// Applies several schedules at the same time:
///
///     lr(t) = schedules[n](... schedules[1](schedules[0](base_lr, t), t) ..., t)
///
/// The rate of each schedule is the base rate of the next, so factors multiply. OneCycleLR and CyclicLR have
/// absolute rates and ignore the schedules before them. If several schedules drive the momentum, the last of
/// them determines it.
///
/// Source: torch.optim.lr_scheduler.ChainedScheduler. Deviations: in PyTorch a schedule that is not a factor
/// (CosineAnnealingLR with an eta_min) changes the rate that the others left, and a SequentialLR drops their
/// factors at its milestones, so the rate depends on its path. Here it is a function of the step. For factors
/// both agree.
///
/// Its conversion to Schedule throws InvalidArgument if there are no schedules.
struct ChainedScheduler {
  std::vector<Schedule> schedules;  ///< The schedules, in the order in which they are applied.
};

}  // namespace onepass
