// parallel.hpp - a number of equal pieces of work, on as many threads as it pays.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/threads/float_environment.hpp"
#include "host/cpu/threads/thread_pool.hpp"
#include "onepass/cpu.hpp"

namespace onepass::cpu {

/// Nanoseconds that each thread should have to do: to hand work to a thread that spins, and to end together,
/// takes half of that (measured).
inline constexpr double kNanosecondsEach = 2e3;

/// What a part takes: long enough that 50 nanoseconds around it do not show, and short enough that threads
/// end together.
inline constexpr double kPartNanoseconds = 4e3;

/// How work is cut, the same number of parts for each thread, that takes one thread so many nanoseconds and
/// has so many pieces that stay whole.
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
/// what one piece takes.
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
  ThreadPool::shared().run(run, task);
}

}  // namespace onepass::cpu
