// parallel.hpp - does a number of equal pieces of work, on as many threads as pay for it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/threads/float_environment.hpp"
#include "host/cpu/threads/team.hpp"
#include "onepass/cpu.hpp"
#include "onepass/threads.hpp"

namespace onepass::cpu {

/// Nanoseconds of work that each thread should have. Handing work to a thread that spins, and waiting for all
/// to end, takes half of that (measured).
inline constexpr double kNanosecondsEach = 2e3;

/// Nanoseconds of work in a part: long enough that the 50 nanoseconds around it do not show, short enough
/// that all threads end at about the same time.
inline constexpr double kPartNanoseconds = 4e3;

/// Cuts work into parts, the same number for each thread. The work takes one thread `nanoseconds`, and has
/// `pieces` pieces that are not cut.
inline PoolRun cut(double nanoseconds, std::int64_t pieces, int most_threads) {
  constexpr std::int64_t kMostParts = 1 << 20;
  const auto up_to = [&](double wanted, std::int64_t most) {
    return static_cast<int>(std::min(wanted, static_cast<double>(std::min(pieces, most))));
  };
  const int threads = std::max(1, up_to(nanoseconds / kNanosecondsEach, most_threads));
  if (threads == 1) return {1, 1, nanoseconds};
  const int each = std::max(1, up_to(nanoseconds / kPartNanoseconds, kMostParts) / threads);
  return {threads, threads * each, nanoseconds};
}

/// Calls work(begin, end) for parts of [0, pieces), in the default float environment. `nanoseconds`: about
/// the time of one piece.
template <class Work>
void in_parallel(std::int64_t pieces, double nanoseconds, const Work& work) {
  const PoolRun run = cut(static_cast<double>(pieces) * nanoseconds, pieces, cpu_threads());
  auto task = [&](int /*thread*/, int part) {
    const DefaultFloatEnvironment environment;
    const auto boundary = [&](std::int64_t before) {
      return pieces / run.parts * before + pieces % run.parts * before / run.parts;
    };
    work(boundary(part), boundary(part + 1));
  };
  Team(best_pool()).run(run, task);
}

}  // namespace onepass::cpu
