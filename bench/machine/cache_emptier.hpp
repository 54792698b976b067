// cache_emptier.hpp - removes a model from the processors' caches.
#pragma once

#include <vector>

#include "onepass/device.hpp"

namespace onepass::bench {

/// A benchmark that repeats a step finds the model in a cache if it fits. A training step does not: between
/// two steps the forward and backward passes have gone through far more memory. So before a cold sample each
/// thread walks through its own memory of twice the size of the last-level cache, which is also many times
/// the size of its private caches. Every thread does this, because a cache may be private to it or shared
/// with some threads.
class CacheEmptier {
 public:
  /// Empties the caches of the threads that run a step on `threads` threads: those of onepass's own pool.
  explicit CacheEmptier(int threads);

  [[nodiscard]] int threads() const { return static_cast<int>(walks_.size()); }
  /// Empties the caches. The threads are still awake when it returns.
  void run();

  /// Bytes of memory that an emptier for `threads` threads uses.
  [[nodiscard]] static double bytes(int threads);

 private:
  std::vector<DeviceBuffer> walks_;  ///< The memory that each thread walks through.
};

}  // namespace onepass::bench
