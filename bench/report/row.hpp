// row.hpp - what was measured of one case, and the run that it was measured in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/case.hpp"
#include "bench/harness/statistics.hpp"

namespace onepass::bench {

struct Timing {
  std::string name;             ///< A contestant's.
  Spread nanoseconds;           ///< A parameter; of a copy, too: a parameter's share of the step's bytes.
  double gigabytes_per_second;  ///< 1e9 bytes; of the unfused step those that a fused one would move.
  /// Its time over onepass's, paired by round: 1 is as fast, 2 twice as slow. Of copy and limit: by equal
  /// bytes.
  Spread over_onepass;
  Spread host_microseconds;  ///< Until a call has returned.
};

/// What a step found.
enum class Caches : unsigned char {
  hot,     ///< In the caches what fits of what the step before had left.
  cold,    ///< Nothing: they were emptied.
  beyond,  ///< Next to nothing: the streams take several times the last cache, which was not emptied.
  rested,  ///< As without, but nobody has worked for a while: the threads sleep.
};
std::string_view to_string(Caches caches);

struct Row {
  Case measured;
  Caches caches = Caches::hot;
  double traffic = 0.0;       ///< Bytes that a step has to move.
  double memory = 0.0;        ///< Bytes of parameters, gradients, states.
  std::int64_t compared = 0;  ///< Elements whose step was compared with the step by hand.
  int rounds = 0;
  int launches = 0;
  std::vector<Timing> timings = {};
  std::string partner = {};                           ///< A format, or empty.
  std::optional<Spread> over_partner = std::nullopt;  ///< Time over its, paired by round.

  [[nodiscard]] const Timing* timing(const std::string& name) const;
};

struct Run {
  std::string machine, compiler, commit, date, command;
  double disturbed = 0.0;  ///< Share of samples that others were in the way of.
  std::vector<Row> rows = {};
  std::vector<std::string> left_out = {};  ///< A sentence for each case that did not fit.
  std::vector<std::string> failed = {};    ///< A sentence for each batch that could not be measured.
};

}  // namespace onepass::bench
