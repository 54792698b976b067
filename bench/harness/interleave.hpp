// interleave.hpp - takes samples of several contestants, interleaved.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/machine/machine.hpp"

namespace onepass::bench {

/// Something whose time is taken. Each call does the whole of its work once.
struct Contestant {
  std::string name;
  std::function<void()> run;
};

struct SamplingRules {
  int rounds = 15;
  double seconds = 1e-3;   ///< That a sample takes at least: shorter work is repeated.
  double patience = 0.02;  ///< Seconds to wait at most, before a sample, for others to be quiet.
  int best_of = 1;         ///< How often a hot sample is taken: the shortest counts.
  std::uint64_t seed = 1;  ///< Of the order within a round.
  bool cold = false;       ///< Caches are emptied before each sample, and a sample is one call.
  int threads = 1;         ///< Whose caches those are.
  double rest = 0.0;       ///< Seconds that all sleep before each sample, and it is a burst; 0: they do not.
  int burst = 1;           ///< Calls of a sample after a rest.
};

/// One contestant's times, a sample a round, in seconds a call.
struct Samples {
  std::vector<double> seconds;
  std::vector<double> host_seconds;
};

struct Interleaved {
  std::vector<Samples> contestants;  ///< In the order that they came in.
  int disturbed = 0;                 ///< Samples that were taken while others were using the processors.
};

/// Each round takes one sample of each contestant, in an order drawn anew. One that lost its processor more
/// than twice, a cold one that lost it at all, is taken again, three times at most.
Interleaved interleave(Machine& machine, const std::vector<Contestant>& contestants,
                       const SamplingRules& rules);

}  // namespace onepass::bench
