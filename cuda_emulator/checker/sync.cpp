// sync.cpp - fences and atomics: they pass knowledge between threads without a barrier.
#include "checker/sync.hpp"

namespace cuda_emulator {
namespace {

constexpr int kBlock = static_cast<int>(Scope::block);
constexpr int kDevice = static_cast<int>(Scope::device);

}  // namespace

void fence(Knowledge& knowledge, FenceState& state, BlockId block, std::uint32_t thread, Scope scope) {
  join(knowledge.others, state.pending[kBlock]);
  state.pending[kBlock] = nullptr;
  if (scope == Scope::device) {
    join(knowledge.others, state.pending[kDevice]);
    state.pending[kDevice] = nullptr;
  }
  auto published = std::make_shared<VectorClock>(knowledge.published(block, thread));
  state.released[kBlock] = published;
  if (scope == Scope::device) state.released[kDevice] = published;
  ++knowledge.own;  // The fence does not cover later accesses.
}

void SyncTable::access(std::uint64_t address, BlockId block, FenceState& state, StrongAccess kind) {
  Location& location = locations_[address];
  const bool same_block = location.block == block;
  if (kind != StrongAccess::store) {
    join(state.pending[kDevice], location.device);
    if (same_block) join(state.pending[kBlock], location.in_block);
  }
  if (kind == StrongAccess::load) return;
  // A read-modify-write keeps what other threads published here; a store replaces it.
  if (kind == StrongAccess::store) location.device = nullptr;
  if (kind == StrongAccess::store || !same_block) location.in_block = nullptr;
  location.block = block;
  join(location.device, state.released[kDevice]);
  join(location.in_block, state.released[kBlock]);
}

}  // namespace cuda_emulator
