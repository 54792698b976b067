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
  /// If set, the average leaves out the value that it starts at: after step t of a parameter it is
  ///
  ///     sum over i = 1..t of decay^(t - i) * param_i, divided by the sum of these weights
  ///
  /// This is an average that starts at 0, divided by 1 - decay^t (Kingma and Ba 2015, section 3; optax.ema
  /// with debias). With decay 1 it is the mean of all values. Not together with `warmup`.
  bool bias_correction = false;
  /// float32 or bfloat16. A bfloat16 average is rounded stochastically: if it were rounded to nearest, an
  /// average with a decay of 0.999 would not change at all.
  DType dtype = DType::float32;

  bool operator==(const EMA&) const = default;
};

/// Weight of the new parameter value in the average, at a tensor's step t >= 1.
///
/// With bias correction the weight is 1 / (1 + decay + ... + decay^(t - 1)). Let S_t be that sum: then
/// S_t = 1 + decay * S_(t-1), so the average a_t = (param_t + decay * S_(t-1) * a_(t-1)) / S_t is a_(t-1)
/// moved by 1 / S_t of its distance to param_t. The first step moves it all the way.
ONEPASS_LANE float ema_weight(double decay, bool warmup, bool bias_correction, std::int64_t t) {
  const auto steps = static_cast<double>(t);
  if (bias_correction) {
    return static_cast<float>(decay == 1.0 ? 1.0 / steps : (1.0 - decay) / (1.0 - lane::power(decay, t)));
  }
  const double risen = (1.0 + steps) / (10.0 + steps);
  return static_cast<float>(1.0 - (warmup && risen < decay ? risen : decay));
}

}  // namespace onepass
