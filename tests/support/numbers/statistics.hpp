// statistics.hpp - tells whether a sample may come from a distribution.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace onepass::test {

struct Moments {
  double mean, variance, skewness, kurtosis;
};

inline Moments moments(std::span<const float> sample) {
  const auto n = static_cast<double>(sample.size());
  double mean = 0.0;
  for (const float x : sample) mean += x;
  mean /= n;
  double second = 0.0, third = 0.0, fourth = 0.0;
  for (const float x : sample) {
    const double d = x - mean;
    second += d * d;
    third += d * d * d;
    fourth += d * d * d * d;
  }
  const double variance = second / n;
  return {mean, variance, third / n / std::pow(variance, 1.5), fourth / n / (variance * variance)};
}

/// Kolmogorov-Smirnov distance between a sample and a distribution function.
template <class Share>
double distance_to(std::vector<float> sample, Share share) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double below = share(static_cast<double>(sample[i]));
    const auto rank = static_cast<double>(i);
    largest = std::max({largest, below - rank / n, (rank + 1.0) / n - below});
  }
  return largest;
}

/// Distance that a true sample of n elements exceeds once in 1,000 (1.95 / sqrt(n), Kolmogorov's limit).
/// Seeds are fixed, so a test that passes once always passes.
inline double distance_limit(std::size_t n) { return 1.95 / std::sqrt(static_cast<double>(n)); }

}  // namespace onepass::test
