// interleave.hpp - takes samples of several contestants, interleaved.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/machine/machine.hpp"

namespace onepass::bench {

/// A function to time. Each call does its whole work once.
struct Contestant {
  std::string name;
  std::function<void()> run;
};

struct SamplingRules {
  int rounds = 15;
  double seconds = 1e-3;   ///< Shortest duration of a sample: shorter work is repeated.
  double patience = 0.02;  ///< Longest wait for a quiet machine before a sample, in seconds.
  int best_of = 1;         ///< A hot sample is the shortest of this many.
  std::uint64_t seed = 1;  ///< Seed of the order within each round.
  bool cold = false;       ///< Empties the caches before each sample, which is then one call.
  int threads = 1;         ///< Number of threads that the contestants run on; their caches are emptied.
  double rest = 0.0;       ///< Seconds of sleep before each sample, which is then a burst; 0: no sleep.
  int burst = 1;           ///< Calls in a sample after a rest.
};

/// The times of one contestant, one sample per round, in seconds per call.
struct Samples {
  std::vector<double> seconds;
  std::vector<double> host_seconds;
};

struct Interleaved {
  std::vector<Samples> contestants;  ///< Same order as the contestants given.
  int disturbed = 0;                 ///< Samples taken while other tasks used the processors.
};

/// Takes one sample of each contestant in each round, in a new random order. A sample during which the
/// process lost a processor more than twice (a cold one: at all) is taken again, at most three times.
Interleaved interleave(Machine& machine, const std::vector<Contestant>& contestants,
                       const SamplingRules& rules);

}  // namespace onepass::bench
