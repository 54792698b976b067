// ema.hpp - an exponential moving average of the weights, kept by the step that moves them.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// An average that is smoother than the weights and often generalises better, for evaluation:
///     ema = decay * ema + (1 - decay) * param
/// after each step that moves the parameter, from the value that the step has stored: the master where there
/// is one, the rounded parameter where there is none. It begins as the parameter is when it is registered. A
/// step that leaves a parameter out leaves its average as it is. It is the state "ema" of each parameter.
///
/// Source: Polyak and Juditsky, 1992; as torch.optim.swa_utils.get_ema_multi_avg_fn, which is lerp too.
struct EMA {
  double decay = 0.999;  ///< 0 to 1. The average is over some 1 / (1 - decay) steps.
  /// Step t of a parameter has the decay min(decay, (1 + t) / (10 + t)), so that the first weights are soon
  /// forgotten. As TensorFlow's ExponentialMovingAverage with num_updates.
  bool warmup = false;
  /// float32 or bfloat16. bfloat16 is rounded stochastically: to the nearest, an average of decay 0.999 would
  /// stay where it is.
  DType dtype = DType::float32;

  bool operator==(const EMA&) const = default;
};

/// What is the new parameter's part of the average, at a tensor's step t >= 1.
ONEPASS_LANE float ema_weight(double decay, bool warmup, std::int64_t t) {
  const auto steps = static_cast<double>(t);
  const double risen = (1.0 + steps) / (10.0 + steps);
  return static_cast<float>(1.0 - (warmup && risen < decay ? risen : decay));
}

}  // namespace onepass
