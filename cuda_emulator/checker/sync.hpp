// sync.hpp - fences and atomics: they pass knowledge between threads without a barrier.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "checker/clock.hpp"

namespace cuda_emulator {

enum class Scope : std::uint8_t { block, device };

/// Knowledge that one thread's fences have released, and knowledge that its strong reads have seen but that
/// no fence has confirmed yet. The index is a Scope. A fence of block scope neither publishes to other blocks
/// nor learns from them.
struct FenceState {
  SharedClock released[2];
  SharedClock pending[2];
};

/// Runs a fence of `thread`: its next strong write will publish what it knows, and what its strong reads saw
/// becomes known to it.
void fence(Knowledge& knowledge, FenceState& state, BlockId block, std::uint32_t thread, Scope scope);

enum class StrongAccess { load, store, read_modify_write };

/// The knowledge that strong accesses have published at each address. Each launch has one table for global
/// memory, and each block one for its shared memory.
class SyncTable {
 public:
  void access(std::uint64_t address, BlockId block, FenceState& state, StrongAccess kind);
  void clear() { locations_.clear(); }

 private:
  struct Location {
    SharedClock device;
    BlockId block = 0;  ///< The last block that published here; `in_block` belongs to it.
    SharedClock in_block;
  };
  std::unordered_map<std::uint64_t, Location> locations_;
};

}  // namespace cuda_emulator
