// statistics.hpp - medians and spreads of samples, and of ratios of samples taken in the same round.
#pragma once

#include <span>
#include <vector>

namespace onepass::bench {

/// The middle of some samples, and the quartiles around it.
struct Spread {
  double median = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Quantiles by linear interpolation between the order statistics. Throws std::invalid_argument without
/// samples.
Spread spread_of(std::vector<double> samples);

/// Of numerator[round] / denominator[round]: what disturbs a round disturbs both. Throws
/// std::invalid_argument unless both have the same rounds.
Spread paired_ratio(std::span<const double> numerator, std::span<const double> denominator);

}  // namespace onepass::bench
