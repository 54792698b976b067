// lane.hpp - one CUDA thread.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "checker/clock.hpp"
#include "checker/sync.hpp"
#include "machine/instruction.hpp"
#include "memory/region.hpp"

namespace cuda_emulator {

class Block;

enum class LaneState : std::uint8_t { ready, at_barrier, at_warp_operation, done };

/// State of the caller while a call is in progress.
struct Frame {
  const Program* program = nullptr;
  const Instruction* next = nullptr;
  const Call* call = nullptr;
  std::uint64_t* slots = nullptr;
  Region memory;
  std::uint64_t local_base = 0;
};

/// Storage of a called function.
struct FrameStorage {
  std::vector<std::uint64_t> slots;
  std::vector<char> memory;
};

struct Lane {
  std::uint64_t* slots = nullptr;  ///< Slots of the running function.
  const Instruction* next = nullptr;
  const Program* program = nullptr;
  Block* block = nullptr;
  LaneState state = LaneState::ready;
  bool carry = false;        ///< Carry flag of add.cc and related instructions.
  std::uint32_t thread = 0;  ///< Index in the block.

  // Valid while the lane waits.
  const Instruction* waiting = nullptr;
  std::uint32_t mask = 0;
  std::uint32_t barrier = 0;
  std::uint32_t barrier_threads = 0;

  Region local;
  Region frame;                  ///< `.param` variables of the running function.
  std::uint64_t local_base = 0;  ///< Start of the running function's local memory.
  std::vector<char> frame_memory;
  std::vector<char> local_memory;
  std::vector<std::uint8_t> local_states;
  std::vector<Frame> callers;
  std::vector<std::unique_ptr<FrameStorage>> frames;

  Knowledge knowledge;
  FenceState fences;

  std::uint32_t lane() const { return thread % kWarpSize; }
  std::uint32_t warp() const { return thread / kWarpSize; }
};

/// Reads the low bits of a slot as T.
template <class T>
T read(const Lane& lane, Slot slot) {
  const std::uint64_t bits = lane.slots[slot];
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<double>(bits);
  } else {
    return static_cast<T>(bits);
  }
}

/// Writes a slot. Extends integers to 64 bits by their own signedness, because a load into a wider register
/// does that. A float NaN becomes the only NaN that PTX arithmetic produces.
template <class T>
void write(Lane& lane, Slot slot, T value) {
  if constexpr (std::is_same_v<T, float>) {
    lane.slots[slot] = value != value ? 0x7fffffffu : std::bit_cast<std::uint32_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    lane.slots[slot] = std::bit_cast<std::uint64_t>(value);
  } else if constexpr (std::is_signed_v<T>) {
    lane.slots[slot] = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
  } else {
    lane.slots[slot] = value;
  }
}

}  // namespace cuda_emulator
