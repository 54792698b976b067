// clock.hpp - who has seen what of whom: the happens-before order within one launch.
//
// Each thread has a clock that steps on whenever it synchronises. An access is stamped with the
// thread's clock; it happens before another thread's access if that thread has learnt of a clock at
// least as high, through a barrier, __syncwarp, or a fence and an atomic. Clocks are aligned at every
// barrier (each participant continues from the highest), so a single number stands for all threads of
// a block, and vectors are needed only for warps and for what fences carry.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace cuda_emulator {

using Clock = std::uint32_t;

/// A block of one launch; numbered through the whole process, in the order in which blocks start.
using BlockId = std::uint32_t;

constexpr std::uint32_t kWarpSize = 32;
constexpr std::uint32_t kMaxThreads = 1024;

/// Clocks of threads, and of blocks as a whole, sorted by key. Small, copied when changed.
class VectorClock {
 public:
  /// `thread` is kMaxThreads for "every thread of the block".
  void raise(BlockId block, std::uint32_t thread, Clock clock);
  void join(const VectorClock& other);
  bool knows(BlockId block, std::uint32_t thread, Clock clock) const;

 private:
  using Entry = std::pair<std::uint64_t, Clock>;
  std::vector<Entry> entries_;
};

using SharedClock = std::shared_ptr<const VectorClock>;

/// Adds `other` to `clock`; either may be null.
void join(SharedClock& clock, const SharedClock& other);

/// What one thread knows.
struct Knowledge {
  Clock own = 1;                         ///< Stamps the thread's next access.
  Clock block = 0;                       ///< Every thread of the own block is known up to here.
  std::array<Clock, kWarpSize> lanes{};  ///< Threads of the own warp.
  SharedClock others;                    ///< Everyone else, through fences and partial barriers.

  /// All that is known, as a fence by `thread` of block `id` would publish it.
  VectorClock published(BlockId id, std::uint32_t thread) const;
};

}  // namespace cuda_emulator
