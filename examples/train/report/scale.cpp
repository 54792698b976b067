// scale.cpp - maps values to pixels along an axis, and chooses its ticks.
#include "report/scale.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

namespace train {
namespace {

constexpr double kTickTolerance = 1e-9;  // for rounding errors, so that a tick at the very end is not lost

}  // namespace

Scale::Scale(double low, double high, bool logarithmic, double from, double to)
    : low_(low), high_(high), logarithmic_(logarithmic), from_(from), to_(to) {}

double Scale::operator()(double value) const {
  const double positive = std::max(value, std::numeric_limits<double>::min());
  const double share =
      logarithmic_ ? std::log(positive / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<double> Scale::ticks() const { return logarithmic_ ? log_ticks() : linear_ticks(); }

std::vector<double> Scale::linear_ticks() const {
  constexpr double kMost = 8.0;
  double step = std::pow(10.0, std::floor(std::log10((high_ - low_) / kMost)));
  for (const double factor : {2.0, 2.5, 2.0}) {  // 1, 2, 5, 10 times a power of ten
    if ((high_ - low_) / step <= kMost) break;
    step *= factor;
  }
  const double tolerance = kTickTolerance * (high_ - low_);
  std::vector<double> ticks;
  for (double i = std::ceil((low_ - tolerance) / step); i * step <= high_ + tolerance; ++i) {
    ticks.push_back(i == 0.0 ? 0.0 : i * step);  // avoids -0
  }
  return ticks;
}

std::vector<double> Scale::log_ticks() const {
  constexpr std::size_t kFewest = 5;
  constexpr std::size_t kMost = 14;
  const double low = low_ * (1.0 - kTickTolerance);
  const double high = high_ * (1.0 + kTickTolerance);
  const auto multiples_within = [&](const std::vector<double>& multiples, double decades) {
    std::vector<double> ticks;
    const double first = decades * std::floor(std::log10(low) / decades);
    for (double exponent = first; std::pow(10.0, exponent) <= high; exponent += decades) {
      for (const double multiple : multiples) {
        const double tick = multiple * std::pow(10.0, exponent);
        if (tick >= low && tick <= high) ticks.push_back(tick);
      }
    }
    return ticks;
  };
  std::vector<double> ticks = multiples_within({1, 2, 5}, 1.0);
  if (ticks.size() < kFewest) ticks = multiples_within({1, 2, 3, 4, 5, 6, 8}, 1.0);
  for (double decades = 1.0; ticks.size() > kMost; ++decades) ticks = multiples_within({1}, decades);
  return ticks;
}

}  // namespace train
