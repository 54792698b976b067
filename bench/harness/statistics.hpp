// statistics.hpp - medians and spreads of samples, and of ratios of samples taken in the same round.
#pragma once

#include <span>
#include <vector>

namespace onepass::bench {

/// Median and quartiles of samples.
struct Spread {
  double median = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Returns the quantiles, interpolated linearly between order statistics. Throws std::invalid_argument if
/// there are no samples.
Spread spread_of(std::vector<double> samples);

/// Returns median and quartiles of numerator[round] / denominator[round]. A disturbance that slows a whole
/// round cancels. Throws std::invalid_argument unless both have the same number of rounds.
Spread paired_ratio(std::span<const double> numerator, std::span<const double> denominator);

}  // namespace onepass::bench
