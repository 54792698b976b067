// golden_schedules.hpp - the schedules that golden/generate.py evaluates with PyTorch, and the results.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

struct NamedSchedule {
  std::string name;
  Schedule schedule;

  friend void PrintTo(const NamedSchedule& one, std::ostream* stream) { *stream << one.name; }
};

/// Returns schedules of every kind, and compositions of them. The names are those in golden/schedules.txt.
std::vector<NamedSchedule> golden_schedules();

/// Returns schedules that PyTorch does not have, or gives other rates.
std::vector<NamedSchedule> schedules_of_ours();

/// PyTorch's rates for one step.
struct GoldenRates {
  std::int64_t step;
  double lr;
  std::optional<double> momentum;
};
/// PyTorch's rates of one schedule.
struct GoldenCase {
  std::string name;
  double base_lr;
  std::vector<GoldenRates> rates;
};
/// Reads golden/schedules.txt.
std::vector<GoldenCase> golden_cases();

/// A metric that PyTorch's ReduceLROnPlateau received, and its state afterwards.
struct GoldenMetric {
  double metric;
  double lr[2];  ///< Rates of two groups, which start at 0.3 and 0.07.
  double best;   ///< Infinite before the first improvement.
  std::int64_t num_bad_epochs, cooldown_counter;
};
/// A run of one ReduceLROnPlateau.
struct GoldenPlateau {
  std::string name;
  std::vector<GoldenMetric> metrics;
};
/// Reads golden/plateau.txt.
std::vector<GoldenPlateau> golden_plateaus();

}  // namespace onepass::test
