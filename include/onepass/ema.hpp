// ema.hpp - an exponential moving average of the parameters, updated by the step that updates them.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// An exponential moving average of each parameter, for evaluation: it is smoother than the parameters and
/// often generalises better.
///
///     ema = decay * ema + (1 - decay) * param
///
/// Each step that changes a parameter also updates its average, from the value that the step has stored: the
/// master if the parameter has one, else the rounded parameter. The average starts at the value that the
/// parameter has when it is registered. A step that leaves a parameter out also leaves its average unchanged.
/// The average is the state "ema" of each parameter.
///
/// Source: Polyak and Juditsky 1992; torch.optim.swa_utils.get_ema_multi_avg_fn, which computes a lerp too.
struct EMA {
  double decay = 0.999;  ///< In [0, 1]. The average covers about 1 / (1 - decay) steps.
  /// If set, step t of a parameter uses the decay min(decay, (1 + t) / (10 + t)), so that the average soon
  /// forgets the first values. This is TensorFlow's ExponentialMovingAverage with num_updates.
  bool warmup = false;
  /// float32 or bfloat16. A bfloat16 average is rounded stochastically: if it were rounded to nearest, an
  /// average with a decay of 0.999 would not change at all.
  DType dtype = DType::float32;

  bool operator==(const EMA&) const = default;
};

/// Weight of the new parameter value in the average, at a tensor's step t >= 1.
ONEPASS_LANE float ema_weight(double decay, bool warmup, std::int64_t t) {
  const auto steps = static_cast<double>(t);
  const double risen = (1.0 + steps) / (10.0 + steps);
  return static_cast<float>(1.0 - (warmup && risen < decay ? risen : decay));
}

}  // namespace onepass
