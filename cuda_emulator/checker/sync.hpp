// sync.hpp - fences and atomics: how knowledge travels without a barrier.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "checker/clock.hpp"

namespace cuda_emulator {

enum class Scope : std::uint8_t { block, device };

/// What one thread's fences have published, and what its atomics have seen but no fence has confirmed.
/// Index: Scope. A fence of block scope neither publishes to, nor learns from, other blocks.
struct FenceState {
  SharedClock released[2];
  SharedClock pending[2];
};

/// A fence by `thread`: what it knows is ready to be published by its next strong write, and what its
/// strong reads saw becomes known.
void fence(Knowledge& knowledge, FenceState& state, BlockId block, std::uint32_t thread, Scope scope);

enum class StrongAccess { load, store, read_modify_write };

/// What has been published through each address that strong accesses touched. One per launch.
class SyncTable {
 public:
  void access(std::uint64_t address, BlockId block, FenceState& state, StrongAccess kind);
  void clear() { locations_.clear(); }

 private:
  struct Location {
    SharedClock device;
    BlockId block = 0;  ///< The block that `in_block` belongs to: the last that published here.
    SharedClock in_block;
  };
  std::unordered_map<std::uint64_t, Location> locations_;
};

}  // namespace cuda_emulator
