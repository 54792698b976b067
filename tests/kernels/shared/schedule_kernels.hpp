// schedule_kernels.hpp - schedules and the functions below them, evaluated on the device.
#pragma once

#include <cstdint>

#include "onepass/schedules/piece.hpp"

namespace onepass::test {

/// rates[i] = what `view`, in device memory, says of steps[i].
void evaluate_on_device(const schedule::View& view, double base_lr, const std::int64_t* steps, Rates* rates,
                        int count);

/// All of rule/math.hpp at one pair of numbers.
struct MathResults {
  double exp, log, pow, sinpi, cospi;

  static ONEPASS_LANE MathResults at(double x, double y) {
    return {lane::exp(x), lane::log(x), lane::pow(x, y), lane::sinpi(x), lane::cospi(x)};
  }
};
/// results[i] = MathResults::at(x[i], y[i]), all in device memory.
void math_on_device(const double* x, const double* y, MathResults* results, int count);

}  // namespace onepass::test
