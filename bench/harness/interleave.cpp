// interleave.cpp - takes the samples of each round.
#include "bench/harness/interleave.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>

#include "bench/harness/quiet.hpp"

namespace onepass::bench {
namespace {

constexpr int kRetakes = 3;
constexpr long kToleratedSwitches = 2;
constexpr int kMostRepeats = 1'000'000;

int repeats_of(Machine& machine, const Contestant& contestant, double seconds) {
  machine.warm_up(contestant.run);
  double once = machine.time(contestant.run, 1).seconds;
  if (once < seconds) once = std::min(once, machine.time(contestant.run, 4).seconds);
  return static_cast<int>(std::clamp(std::ceil(seconds / once), 1.0, double{kMostRepeats}));
}

struct Take {
  Elapsed elapsed;
  bool disturbed;
};

Take take_hot(Machine& machine, const Contestant& contestant, int repeats, int best_of) {
  const long before = involuntary_switches();
  Elapsed best{};
  for (int i = 0; i < best_of; ++i) {
    machine.warm_up(contestant.run);
    const Elapsed again = machine.time(contestant.run, repeats);
    if (i == 0 || again.seconds < best.seconds) best = again;
  }
  return {best, involuntary_switches() - before > kToleratedSwitches};
}

/// Times one call, because a second call would find what the first has left in the caches. The call is short,
/// so any context switch disturbs it.
Take take_cold(Machine& machine, const Contestant& contestant, int threads) {
  machine.empty_caches(threads);
  const long before = involuntary_switches();
  const Elapsed elapsed = machine.time(contestant.run, 1);
  return {elapsed, involuntary_switches() != before};
}

/// Returns the mean of a burst. Its first call finds the threads asleep.
Take take_rested(Machine& machine, const Contestant& contestant, const SamplingRules& rules) {
  std::this_thread::sleep_for(std::chrono::duration<double>(rules.rest));
  const long before = involuntary_switches();
  const Elapsed elapsed = machine.time(contestant.run, rules.burst);
  return {elapsed, involuntary_switches() - before > kToleratedSwitches};
}

Take take(Machine& machine, const Contestant& contestant, int repeats, const SamplingRules& rules) {
  if (rules.rest > 0.0) return take_rested(machine, contestant, rules);
  return rules.cold ? take_cold(machine, contestant, rules.threads)
                    : take_hot(machine, contestant, repeats, rules.best_of);
}

Take take_undisturbed(Machine& machine, const Contestant& contestant, int repeats,
                      const SamplingRules& rules) {
  const bool quiet = wait_until_quiet(rules.patience);
  Take best = take(machine, contestant, repeats, rules);
  for (int i = 0; i < kRetakes && best.disturbed; ++i) {
    const Take again = take(machine, contestant, repeats, rules);
    if (!again.disturbed || again.elapsed.seconds < best.elapsed.seconds) best = again;
  }
  return {best.elapsed, best.disturbed || !quiet};
}

}  // namespace

Interleaved interleave(Machine& machine, const std::vector<Contestant>& contestants,
                       const SamplingRules& rules) {
  Interleaved result{std::vector<Samples>(contestants.size()), 0};
  std::vector<int> repeats;
  for (const Contestant& contestant : contestants) {
    const bool fixed = rules.cold || rules.rest > 0.0;
    repeats.push_back(fixed ? 1 : repeats_of(machine, contestant, rules.seconds));
  }
  std::vector<std::size_t> order(contestants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(rules.seed);
  for (int round = 0; round < rules.rounds; ++round) {
    std::ranges::shuffle(order, random);
    for (const std::size_t i : order) {
      const Take sample = take_undisturbed(machine, contestants[i], repeats[i], rules);
      result.contestants[i].seconds.push_back(sample.elapsed.seconds);
      result.contestants[i].host_seconds.push_back(sample.elapsed.host_seconds);
      if (sample.disturbed) ++result.disturbed;
    }
  }
  return result;
}

}  // namespace onepass::bench
