// schedule_kernels.hpp - evaluates schedules, and the functions that they use, on the device.
#pragma once

#include <cstdint>

#include "onepass/schedules/segment.hpp"

namespace onepass::test {

/// Sets rates[i] to the rates of `view` at steps[i]. The view and all arrays are in device memory.
void evaluate_on_device(const schedule::View& view, double base_lr, const std::int64_t* steps, Rates* rates,
                        int count);

/// The functions of onepass/arithmetic/math.hpp at one pair of numbers.
struct MathResults {
  double exp, log, pow, sinpi, cospi;

  static ONEPASS_LANE MathResults at(double x, double y) {
    return {lane::exp(x), lane::log(x), lane::pow(x, y), lane::sinpi(x), lane::cospi(x)};
  }
};
/// Sets results[i] to MathResults::at(x[i], y[i]). All arrays are in device memory.
void math_on_device(const double* x, const double* y, MathResults* results, int count);

}  // namespace onepass::test
