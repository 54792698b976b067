// control.hpp - what a step knows besides its tensors, in the memory of the device that steps.
#pragma once

#include <cstdint>

#include "step/reduction.hpp"

namespace onepass::step {

/// What becomes of numbers after the rules; as the optimizer was made.
struct StoreSettings {
  std::uint64_t seed;                   ///< Of stochastic rounding.
  double ema_decay;                     ///< Where a tensor has a moving average.
  std::uint32_t warms_up_ema;           ///< EMA::warmup
  std::uint32_t rounds_stochastically;  ///< 1: 16-bit parameters without a master.
};

/// What becomes of gradients before the rules see them; patched by the host in the order of a stream.
struct Settings {
  double max_norm;         ///< Infinite: no clipping by norm.
  double norm_eps;         ///< Added to the norm before max_norm is divided by it.
  float max_value;         ///< Infinite: no clipping by value.
  Measure norm;            ///< What a norm launch before the step measures.
  std::uint32_t measures;  ///< 1 if there is one.
  std::uint32_t skips;     ///< 1: a gradient that is not finite turns the step into nothing.
  std::uint32_t latches;   ///< 1: and is remembered for check().
  std::uint32_t zeroes;    ///< 1: the update leaves zeros where it found the gradients.
  StoreSettings store;
  const float* found_inf;   ///< Nonzero when a step runs: it changes nothing. May be null.
  const float* grad_scale;  ///< The caller's loss scale, divided out. May be null.
  double growth_factor;     ///< Of the loss scaler.
  double backoff_factor;
  std::int64_t growth_interval;  ///< 0: no loss scaler.
};

/// What the loss is multiplied by, and how long it has been.
struct LossScale {
  std::int64_t growth_tracker;  ///< Steps since the scale last changed.
  float value;
  std::uint32_t reserved;
};

/// What steps count and remember; written on the device.
struct Progress {
  std::int64_t steps;  ///< Taken, skipped ones not counted: where a schedule stands.
  std::int64_t skipped;
  std::int64_t micro_batches;  ///< Accumulated since the last step.
  double grad_norm;            ///< Of the last step that measured it, before clipping.
  std::uint64_t nonfinite;     ///< The first element that was not finite, until check() asks; or kNowhere.
  LossScale loss_scale;
};

struct Control {
  Settings settings;
  Progress progress;
  Reduction gradients;  ///< Filled by the norm launch, emptied by prepare.
  Reduction penalty;
  std::uint32_t blocks_done;  ///< Of prepare or accumulate; the last one concludes.
  std::uint32_t reserved;
};
static_assert(sizeof(Settings) % 8 == 0 && sizeof(Progress) % 8 == 0);

}  // namespace onepass::step
