// row.hpp - the results of one case, and the run that they belong to.
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
  std::string name;             ///< Name of the contestant.
  Spread nanoseconds;           ///< Per parameter. Copy and limit are scaled to the bytes of a step.
  double gigabytes_per_second;  ///< In 1e9 bytes. For the unfused step: the bytes that a fused step moves.
  /// Time over onepass's, paired by round: 1 is as fast, 2 is twice as slow. Copy and limit are scaled to the
  /// bytes of a step.
  Spread over_onepass;
  Spread host_microseconds;  ///< Until a call returns.
};

/// State of the caches at the start of a step.
enum class Caches : unsigned char {
  hot,     ///< As the previous step left them.
  cold,    ///< Emptied.
  beyond,  ///< Not emptied, but the streams take over four times the last-level cache: almost no hits.
  rested,  ///< Not emptied; the threads have slept for a while.
};
std::string_view to_string(Caches caches);

struct Row {
  Case measured;
  Caches caches = Caches::hot;
  double traffic = 0.0;       ///< Bytes that a step moves.
  double memory = 0.0;        ///< Bytes of parameters, gradients, states.
  std::int64_t compared = 0;  ///< Number of elements that were compared with the reference step.
  int rounds = 0;
  int launches = 0;
  std::vector<Timing> timings = {};
  std::string partner = {};                           ///< The format to compare times with, or empty.
  std::optional<Spread> over_partner = std::nullopt;  ///< Time over the partner's, paired by round.

  [[nodiscard]] const Timing* timing(const std::string& name) const;
};

struct Run {
  std::string machine, compiler, commit, date, command;
  double disturbed = 0.0;  ///< Share of samples that other tasks disturbed.
  std::vector<Row> rows = {};
  std::vector<std::string> left_out = {};  ///< A sentence for each case that did not fit.
  std::vector<std::string> failed = {};    ///< A sentence for each batch that failed.
};

}  // namespace onepass::bench
