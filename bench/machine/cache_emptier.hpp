// cache_emptier.hpp - takes a model out of the processors' caches.
#pragma once

#include <vector>

#include "onepass/device.hpp"

namespace onepass::bench {

/// A benchmark that repeats a step finds the model in a cache wherever it fits one. A training step does not:
/// between two steps the forward and backward pass have gone through far more memory. So before a cold sample
/// each thread walks memory of its own that takes the whole of the last cache twice, which also is many times
/// what the thread's private caches hold. Each, because caches may be private to it or shared with some.
class CacheEmptier {
 public:
  /// Of the threads that a step on `threads` threads runs on: those of the library's pool.
  explicit CacheEmptier(int threads);

  [[nodiscard]] int threads() const { return static_cast<int>(walks_.size()); }
  /// Returns when nothing is left, with the threads still awake.
  void run();

  /// Bytes of memory that one for so many threads takes.
  [[nodiscard]] static double bytes(int threads);

 private:
  std::vector<DeviceBuffer> walks_;  ///< One a thread.
};

}  // namespace onepass::bench
