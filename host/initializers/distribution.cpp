// distribution.cpp - derives the numbers of a distribution that draw() uses.
#include "onepass/initializers/distribution.hpp"

#include <cmath>
#include <limits>

#include "host/check/sentence.hpp"
#include "onepass/rule/check.hpp"

namespace onepass::initializers {
namespace {

constexpr double kRootTwoPi = 0x1.40d931ff62706p+1;

/// Returns the share of a standard normal distribution above x >= 0. It uses only + - * / and lane::exp,
/// because the C library's erfc differs between machines. The relative error is below 1e-13, the absolute
/// error below 1e-16.
double upper_share(double x) {
  const double density = lane::exp(-0.5 * x * x) / kRootTwoPi;
  if (x > 3.0) {
    // Evaluates the continued fraction of Mills' ratio (Laplace) from its last level. For x above 3, 200
    // levels are enough.
    double tail = x;
    for (int level = 200; level > 0; --level) tail = x + level / tail;
    return density / tail;
  }
  // The share between 0 and x is density * (x + x^3/3 + x^5/(3*5) + ...); all terms are positive (Marsaglia
  // 2004).
  double term = x, sum = x;
  for (int odd = 3; term > sum * 0x1p-60; odd += 2) {
    term *= x * x / odd;
    sum += term;
  }
  return 0.5 - density * sum;
}

/// Returns the share of a standard normal distribution below x.
double share_below(double x) { return x < 0.0 ? upper_share(-x) : 1.0 - upper_share(x); }

/// Returns the share between two bounds, without cancellation if both are on the same side of 0.
double share_between(double low, double high) {
  if (low > 0.0) return upper_share(low) - upper_share(high);
  if (high < 0.0) return upper_share(-high) - upper_share(-low);
  return (0.5 - upper_share(-low)) + (0.5 - upper_share(high));
}

/// Refuses a number that a formula gives, such as gain / sqrt(fan), and that float32 cannot hold.
void require_finite(const char* what, double value) {
  if (std::isfinite(static_cast<float>(value))) return;
  throw InvalidArgument("onepass: the " + std::string(what) + " of a distribution is " + number(value) +
                        ", but must be finite in float32");
}

}  // namespace

Distribution constant(double value) { return {.kind = DistributionKind::constant, .mean = value}; }

Distribution uniform(double low, double high) {
  require_finite("lower bound", low);
  require_finite("upper bound", high);
  const auto first = static_cast<float>(low), end = static_cast<float>(high);
  const float last = first < end ? std::nextafter(end, -std::numeric_limits<float>::infinity()) : first;
  return {.kind = DistributionKind::uniform,
          .interval = {.low = first, .width = static_cast<double>(end) - first, .last = last}};
}

Distribution normal(double mean, double std) {
  constexpr double kFarthest = 6.77;  // the largest magnitude of random::normal_pair()
  require_finite("largest number", std::fabs(mean) + kFarthest * std);
  return {.kind = DistributionKind::normal, .mean = mean, .std = std};
}

Distribution truncated_normal(double mean, double std, double a, double b) {
  constexpr double kLeastShare = 1e-290;
  require_finite("lower bound", a);
  require_finite("upper bound", b);
  const double low = (a - mean) / std, high = (b - mean) / std;
  const double inside = share_between(low, high);
  if (!(inside >= kLeastShare)) {
    throw InvalidArgument("onepass: TruncatedNormal.a and b are " + number(low) + " and " + number(high) +
                          " standard deviations from the mean, and less than 1e-290 of the distribution lies"
                          " between them");
  }
  return {.kind = DistributionKind::truncated_normal,
          .truncation = {.mean = mean,
                         .std = std,
                         .below = share_below(low),
                         .above = share_below(-high),
                         .inside = inside,
                         .least = static_cast<float>(a),
                         .most = static_cast<float>(b)}};
}

}  // namespace onepass::initializers
