// golden_schedules.hpp - the schedules that golden/generate.py asks PyTorch about, and its answers.
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

/// Every kind of segment, and compositions of them; the names are those of golden/schedules.txt.
std::vector<NamedSchedule> golden_schedules();

struct GoldenRates {
  std::int64_t step;
  double lr;
  std::optional<double> momentum;
};
struct GoldenCase {
  std::string name;
  double base_lr;
  std::vector<GoldenRates> rates;
};
std::vector<GoldenCase> golden_cases();

/// What ReduceLROnPlateau was told, and what it left.
struct GoldenMetric {
  double metric;
  double lr[2];  ///< Of two groups, 0.3 and 0.07 at first.
  double best;   ///< Infinite as long as there is none.
  std::int64_t num_bad_epochs, cooldown_counter;
};
struct GoldenPlateau {
  std::string name;
  std::vector<GoldenMetric> metrics;
};
std::vector<GoldenPlateau> golden_plateaus();

}  // namespace onepass::test
