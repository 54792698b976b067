// statistics.cpp - medians and spreads.
#include "bench/harness/statistics.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace onepass::bench {
namespace {

double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

}  // namespace

Spread spread_of(std::vector<double> samples) {
  if (samples.empty()) throw std::invalid_argument("onepass_bench: a median needs at least one sample");
  std::ranges::sort(samples);
  return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75)};
}

Spread paired_ratio(std::span<const double> numerator, std::span<const double> denominator) {
  if (numerator.size() != denominator.size()) {
    throw std::invalid_argument("onepass_bench: a paired ratio needs equal numbers of rounds, not " +
                                std::to_string(numerator.size()) + " and " +
                                std::to_string(denominator.size()));
  }
  std::vector<double> ratios(numerator.size());
  for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] = numerator[i] / denominator[i];
  return spread_of(std::move(ratios));
}

}  // namespace onepass::bench
