// truncated_normal.hpp - a normal distribution cut off on both sides, drawn by the inverse of its
// distribution function, with the same bits on host and device.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"
#include "onepass/random/normal.hpp"
#include "onepass/random/uniform.hpp"

namespace onepass::random {

/// Returns first if the condition holds, else second. It uses masks because GCC 12 would move the work for
/// `?:` into branches and leave the loop around it scalar, which is 4 times slower.
ONEPASS_LANE double blend(bool condition, double first, double second) {
  const lane::series::Bits mask = -static_cast<lane::series::Bits>(condition);
  return lane::series::from_bits((lane::series::bits(first) & mask) | (lane::series::bits(second) & ~mask));
}

/// Returns the x >= 0 that a standard normally distributed number exceeds with probability p in (0, 1/2]. p
/// must not be denormal. The relative error is below 2^-50 (the absolute error if x is near 0). It has no
/// branches, so a loop over it vectorises.
/// Source: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution", PPND16.
ONEPASS_LANE double upper_quantile(double p) {
  using lane::series::horner;
  const double q = 0.5 - p;
  const bool central = q <= 0.425;
  const double square = 0.180625 - q * q;
  const double root = lane::sqrt(-log_of_share(p));
  const bool far = root > 5.0;
  const double r = root - 1.6, s = root - 5.0;
  const double central_above =
      horner(square, 3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3,
             1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
             3.3430575583588128105e+4, 2.5090809287301226727e+3);
  const double central_below = horner(
      square, 1.0, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
      2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3);
  const double middle_above =
      horner(r, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
             3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
             2.27238449892691845833e-2, 7.74545014278341407640e-4);
  const double middle_below =
      horner(r, 1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
             1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
             1.05075007164441684324e-9);
  const double far_above =
      horner(s, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
             2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
             2.71155556874348757815e-5, 2.01033439929228813265e-7);
  const double far_below =
      horner(s, 1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
             7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
             2.04426310338993978564e-15);
  const double tail_above = blend(far, far_above, middle_above);
  const double tail_below = blend(far, far_below, middle_below);
  return blend(central, q * central_above, tail_above) / blend(central, central_below, tail_below);
}

/// A normal distribution that is cut off on both sides.
struct Truncation {
  double mean, std;     ///< Mean and standard deviation of the distribution before it is cut.
  double below, above;  ///< Shares of that distribution below the lower and above the upper bound.
  double inside;        ///< 1 - below - above.
  float least, most;    ///< Lower and upper bound.
};

/// Returns the inverse of the cut distribution function at u = uniform_open(word), computed in double and
/// rounded once. Each tail is measured from its own end, so neither loses digits.
ONEPASS_LANE float truncated_normal(const Truncation& cut, std::uint32_t word) {
  const double u = uniform_open(word);
  const double left = lane::fma(u, cut.inside, cut.below);
  const double right = lane::fma(1.0 - u, cut.inside, cut.above);
  const bool lower_half = left <= right;
  const double magnitude = upper_quantile(lower_half ? left : right);
  const auto value = static_cast<float>(lane::fma(cut.std, lower_half ? -magnitude : magnitude, cut.mean));
  const float at_least = value < cut.least ? cut.least : value;
  return at_least > cut.most ? cut.most : at_least;
}

}  // namespace onepass::random
