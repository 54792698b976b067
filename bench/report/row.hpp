// row.hpp - what was measured of one case, and the run that it was measured in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/case.hpp"
#include "bench/harness/statistics.hpp"

namespace onepass::bench {

struct Timing {
  std::string name;             ///< A contestant's.
  Spread nanoseconds;           ///< A parameter; of a copy, too: a parameter's share of the step's bytes.
  double gigabytes_per_second;  ///< 1e9 bytes; of the unfused step those that a fused one would move.
  /// Its time over onepass's, paired by round: 1 is as fast, 2 twice as slow. Of a copy: by equal bytes.
  Spread over_onepass;
};

struct Row {
  Case measured;
  double traffic = 0.0;       ///< Bytes that a step has to move.
  double memory = 0.0;        ///< Bytes of parameters, gradients, states.
  std::int64_t compared = 0;  ///< Elements whose step was compared with the step by hand.
  int rounds = 0;
  int launches = 0;
  Spread host_microseconds = {};  ///< Of a step's call.
  std::vector<Timing> timings = {};
  std::string partner = {};                           ///< A format, or empty.
  std::optional<Spread> over_partner = std::nullopt;  ///< Time over its, paired by round.

  [[nodiscard]] const Timing* timing(const std::string& name) const;
};

struct Run {
  std::string machine, compiler, commit, date, command;
  double disturbed = 0.0;  ///< Share of samples that others were in the way of.
  std::vector<Row> rows;
};

}  // namespace onepass::bench
