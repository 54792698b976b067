// slot_pool.cpp - see SlotPool in instruction.hpp.
#include <algorithm>
#include <utility>

#include "machine/instruction.hpp"

namespace cuda_emulator {
namespace {

/// Bytes that all pools hold. Launches run one at a time, under the device's lock.
std::size_t held = 0;

std::size_t bytes_of(const std::vector<std::uint64_t>& slots) { return slots.size() * sizeof(slots[0]); }

}  // namespace

std::vector<std::uint64_t> SlotPool::take(std::size_t count) {
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.size() == count; });
  if (found == kept_.end()) return {};
  std::vector<std::uint64_t> taken = std::move(*found);
  kept_.erase(found);
  held -= bytes_of(taken);
  return taken;
}

void SlotPool::give(std::vector<std::uint64_t> slots) {
  if (held + bytes_of(slots) > kLimit) return;
  held += bytes_of(slots);
  kept_.push_back(std::move(slots));
}

void SlotPool::drop() {
  for (const std::vector<std::uint64_t>& one : kept_) held -= bytes_of(one);
  kept_.clear();
}

}  // namespace cuda_emulator
