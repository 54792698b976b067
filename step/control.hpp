// control.hpp - an optimizer's settings and progress, in the memory of the device that runs its steps.
#pragma once

#include <cstdint>

#include "step/reduction.hpp"

namespace onepass::step {

/// How a step stores its results after the rule has run. Fixed when the optimizer is created.
struct StoreSettings {
  std::uint64_t seed;               ///< Seed of the random bits for stochastic rounding.
  double ema_decay;                 ///< Decay of the moving average, for tensors that have one.
  std::uint32_t warms_up_ema;       ///< EMA::warmup
  std::uint32_t corrects_ema_bias;  ///< EMA::bias_correction
  std::int64_t lookahead_k;         ///< Lookahead::k; 0: no slow weights.
  float lookahead_alpha;
  std::uint32_t reserved;
};

struct SharedScale;

/// How a step treats gradients before the rule sees them. The host patches these in the order of a CUDA
/// stream.
struct Settings {
  double max_norm;                   ///< Infinity turns clipping by norm off.
  double norm_eps;                   ///< Added to the norm before max_norm is divided by it.
  float max_value;                   ///< Infinity turns clipping by value off.
  Measure norm;                      ///< The measure that the norm launch before the step takes.
  std::uint32_t measures_gradients;  ///< 1: a norm launch precedes the step.
  std::uint32_t skips_nonfinite;  ///< 1: a gradient element that is not finite makes the step change nothing.
  std::uint32_t remembers_nonfinite;  ///< 1: the first such element is also kept for check().
  std::uint32_t zeroes_gradients;     ///< 1: the update overwrites the gradients with zeros.
  std::uint32_t clips_by_group;       ///< 1: each group is clipped by its own norm.
  std::uint32_t clips_by_parameter;   ///< 1: each tensor is clipped by its own norm.
  StoreSettings store;
  const float* found_inf;     ///< If nonzero when a step runs, the step changes nothing. May be null.
  const float* grad_scale;    ///< The caller's loss scale; gradients are divided by it. May be null.
  SharedScale* shared_scale;  ///< The loss scale of a SharedLossScaler. May be null.
  double growth_factor;       ///< Factor by which the loss scaler grows.
  double backoff_factor;
  std::int64_t growth_interval;  ///< 0: no loss scaler.
  float min_scale;               ///< The loss scaler keeps the scale in [min_scale, max_scale].
  float max_scale;
};

/// A micro-batch that is added to the sums of gradients.
struct MicroBatch {
  const float* weight_pointer;  ///< Address of its weight; null if `weight` is it.
  float weight;
  std::uint32_t drops_nonfinite;  ///< 1: its gradients were measured, and one that is not finite drops it.
};

/// The factor that the loss is multiplied by, and how long it has been in use.
struct LossScale {
  std::int64_t growth_tracker;  ///< Steps since the scale last changed.
  float value;
  std::uint32_t reserved;
};

/// Stands in place of an element that was not finite if the loss scale, or its inverse in float32, was not
/// finite.
inline constexpr std::uint64_t kLossScale = kNowhere - 1;
/// Stands in place of an element that was not finite if its parameter was removed since.
inline constexpr std::uint64_t kRemoved = kLossScale - 1;
/// Stands in place of an element that was not finite if another shard had it. No place is larger.
inline constexpr std::uint64_t kElsewhere = kRemoved - 1;

/// A loss scale that several optimizers share.
struct SharedScale {
  Settings settings;  ///< Those that update_loss_scale() reads.
  LossScale scale;
  std::uint32_t stepped;     ///< 1: an optimizer has stepped since the last update.
  std::uint32_t overflowed;  ///< 1: and has found a gradient that was not finite.
};

/// Counters and results of steps; the device writes them.
struct Progress {
  std::int64_t steps;  ///< Steps taken, without skipped ones. Schedules are evaluated at this number.
  std::int64_t skipped;
  std::int64_t micro_batches;  ///< Micro-batches accumulated since the last step; none has weight 0.
  double accumulated_weight;   ///< Sum of their weights.
  std::int64_t dropped;        ///< Micro-batches dropped because of a gradient that was not finite.
  std::int64_t dropped_since_step;
  float
      window_scale;  ///< Shared loss scale of the first micro-batch since the last step; 0 if there is none.
  std::uint32_t reserved;
  double grad_norm;         ///< Norm in the last step that measured it, before clipping.
  std::uint64_t nonfinite;  ///< First element that was not finite since the last check(), kElsewhere,
                            ///< kRemoved, kLossScale, or kNowhere.
  std::uint64_t measured_nonfinite;  ///< The same of the last measure(), until a step takes it.
  std::int64_t round_parts;    ///< Parts of this round so far; those without micro-batches do not count.
  std::int64_t round_skipped;  ///< Those that were skipped.
  std::uint64_t miscounted;  ///< First tensor that a step since the last check() left out because of what the
                             ///< caller's counter held, or kNowhere.
  LossScale loss_scale;
};

/// Everything that steps read and write besides tables of tensors.
struct Control {
  Settings settings;
  Progress progress;
  Reduction gradients;  ///< Launches that measure gradients add to it; prepare and accumulate empty it.
  Reduction round;      ///< Sum of the measures of the parts of a round that were not skipped.
  Reduction penalty;
  std::uint32_t blocks_done;  ///< Thread blocks of prepare or accumulate that are done; the last concludes.
  std::uint32_t reserved;
};
static_assert(sizeof(Settings) % 8 == 0 && sizeof(Progress) % 8 == 0);

}  // namespace onepass::step
