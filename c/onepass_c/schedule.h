/* schedule.h - learning rates as functions of the step. A part of onepass.h. Formulas:
 * include/onepass/schedules/. */
#ifndef ONEPASS_C_SCHEDULE_H
#define ONEPASS_C_SCHEDULE_H

#include "rule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A learning rate as a function of the number of steps taken. It has no state. */
typedef struct onepass_schedule onepass_schedule;

/* Makes a schedule by name: ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR,
 * ExponentialLR, LinearLR, OneCycleLR, PolynomialLR, StepLR, WarmUp, WarmupStableDecay. Settings name its
 * members: "T_max", "eta_min". Returns ONEPASS_INVALID_ARGUMENT if there is no such schedule or member, or a
 * value is out of range. */
int onepass_schedule_create(const char* name, const onepass_setting* settings, int64_t setting_count,
                            onepass_schedule** schedule);
/* Makes MultiStepLR: the rate times `gamma` to the number of milestones, steps in ascending order, reached.
 */
int onepass_schedule_multi_step(const int64_t* milestones, int64_t count, double gamma,
                                onepass_schedule** schedule);
/* Makes a table of factors of the base rate, one for each step, at most 2^26. The last one stays. */
int onepass_schedule_table(const double* factors, int64_t count, onepass_schedule** schedule);
/* Makes SequentialLR: each schedule begins, at its own step 0, at the milestone before it. There is one
 * milestone less than there are schedules. */
int onepass_schedule_sequence(const onepass_schedule* const* schedules, int64_t count,
                              const int64_t* milestones, onepass_schedule** sequence);
/* Makes ChainedScheduler: each schedule takes the rate of the one before it as its base rate. */
int onepass_schedule_chain(const onepass_schedule* const* schedules, int64_t count, onepass_schedule** chain);
void onepass_schedule_destroy(onepass_schedule* schedule);

/* The result of a schedule for one step. */
typedef struct {
  uint32_t size;
  int32_t drives_momentum; /* 1 if the schedule sets the momentum too. */
  double lr;
  double momentum; /* Of SGD and RMSProp; beta1 of Adam. Valid if drives_momentum is 1. */
} onepass_rates;
/* Evaluates a schedule at a step, which is the number of steps completed before, at least 0. */
int onepass_schedule_rates(const onepass_schedule* schedule, double base_lr, int64_t step,
                           onepass_rates* rates);

/* A part of a schedule, to save. The library alone knows its meaning. */
typedef struct {
  int32_t kind, stage;
  int64_t begin, first_number, number_count;
  double parameters[11];
} onepass_segment;
/* Writes the segments of a schedule, and the numbers that they refer to. Both arrays are valid as long as it.
 */
int onepass_schedule_segments(const onepass_schedule* schedule, const onepass_segment** segments,
                              int64_t* segment_count, const double** numbers, int64_t* number_count);
/* Makes a schedule of what onepass_schedule_segments() wrote. */
int onepass_schedule_restore(const onepass_segment* segments, int64_t segment_count, const double* numbers,
                             int64_t number_count, onepass_schedule** schedule);

/* ReduceLROnPlateau, which reduces the rate when a metric stops improving. It is a plain value: `has_best`
 * and its last three members are its whole state. onepass_plateau_init() sets the defaults, and here 0 is
 * none. */
typedef struct {
  uint32_t size;
  int32_t mode;           /* 0: the metric should fall (min). 1: it should rise (max). */
  int32_t threshold_mode; /* 0: relative to `best` (rel). 1: absolute (abs). */
  int32_t has_best;       /* 1 if `best` is set. */
  double factor;          /* Of the rate, when it fires; in [0, 1). */
  int64_t patience;       /* Number of bad metrics in a row that do not fire yet. */
  double threshold;       /* Smallest improvement that counts. */
  int64_t cooldown;       /* Number of metrics after firing that do not count as bad. */
  double min_lr;          /* Lower bound of the rate. */
  const double* min_lrs;  /* If not null: lower bound of each group's rate, in place of min_lr. */
  int64_t min_lr_count;
  double eps;  /* The rate does not change if it would fall by this much or less. */
  double best; /* Best metric so far. */
  int64_t num_bad_epochs;
  int64_t cooldown_counter;
} onepass_plateau;
/* Sets `size` and all other members to the defaults. */
int onepass_plateau_init(onepass_plateau* plateau);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_SCHEDULE_H */
