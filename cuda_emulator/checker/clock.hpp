// clock.hpp - vector clocks: the happens-before order within one launch.
//
// Each thread has a clock that advances whenever the thread synchronises. Every access is stamped with the
// clock of its thread. The access happens before an access of another thread if that thread has learnt of a
// clock at least as high through a barrier, __syncwarp, or a fence and an atomic. Every barrier aligns the
// clocks of its participants to the highest. Therefore one number stands for all threads of a block, and only
// warps and fences need vectors.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace cuda_emulator {

using Clock = std::uint32_t;

/// Number of a block. It is unique in the process and grows in the order in which blocks start.
using BlockId = std::uint32_t;

constexpr std::uint32_t kWarpSize = 32;
constexpr std::uint32_t kMaxThreads = 1024;

/// Clocks of threads and of whole blocks, sorted by key. Small; shared clocks are copied before a change.
class VectorClock {
 public:
  /// Pass kMaxThreads as `thread` for every thread of the block.
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

/// The clocks that one thread knows: its own and those of other threads.
struct Knowledge {
  Clock own = 1;                         ///< Stamps the thread's next access.
  Clock block = 0;                       ///< Highest clock known of every thread of its block.
  std::array<Clock, kWarpSize> lanes{};  ///< Highest clocks known of the threads of its warp.
  SharedClock others;                    ///< All other threads, known through fences and partial barriers.

  /// Returns everything known, in the form in which a fence by `thread` of block `id` publishes it.
  VectorClock published(BlockId id, std::uint32_t thread) const;
};

}  // namespace cuda_emulator
