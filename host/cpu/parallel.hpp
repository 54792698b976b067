// parallel.hpp - a number of equal pieces of work, on as many threads as it pays.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/float_environment.hpp"
#include "host/cpu/thread_pool.hpp"
#include "onepass/cpu.hpp"

namespace onepass::cpu {

/// Nanoseconds that a thread should have to do: what it takes to hand work over, and to wake a thread first
/// (measured as in backend.cpp).
inline constexpr double kHotNanoseconds = 10e3;
inline constexpr double kColdNanoseconds = 400e3;

/// Calls work(begin, end) for parts of [0, pieces), in the default float environment. `nanoseconds`: about
/// what one piece takes.
template <class Work>
void in_parallel(std::int64_t pieces, double nanoseconds, const Work& work) {
  ThreadPool& pool = ThreadPool::shared();
  const double total = static_cast<double>(pieces) * nanoseconds;
  int threads = 1;
  if (total >= 2.0 * kHotNanoseconds) {
    const int most = cpu_threads();
    if (total >= kColdNanoseconds || pool.awake(most)) {
      const double worthwhile = std::min(total / kHotNanoseconds, static_cast<double>(pieces));
      threads = static_cast<int>(std::clamp(worthwhile, 1.0, static_cast<double>(most)));
    }
  }
  auto task = [&](int thread, int count) {
    const DefaultFloatEnvironment environment;
    const auto boundary = [&](int part) { return pieces / count * part + pieces % count * part / count; };
    work(boundary(thread), boundary(thread + 1));
  };
  pool.run(threads, task);
}

}  // namespace onepass::cpu
