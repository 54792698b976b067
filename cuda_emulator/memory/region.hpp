// region.hpp - a range of emulated memory with bounds and a state for each byte.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "ptx/types.hpp"

namespace cuda_emulator {

class Shadow;

/// State of one byte. Redzones lie between `__shared__` arrays.
enum ByteState : std::uint8_t { kUnwritten = 0, kWritten = 1, kRedzone = 2 };

/// A range of memory. Global allocations, the shared memory of a block and the local memory of a thread are
/// all regions, so that the same code checks all of them.
struct Region {
  std::uint64_t base = 0;         ///< Address of the first byte in the kernel's view.
  std::uint64_t size = 0;         ///< 0 after a free, so that the bounds check catches use after free.
  char* bytes = nullptr;          ///< The contents, in the emulator's memory.
  std::uint8_t* state = nullptr;  ///< ByteState of each byte; null if the host writes the memory unobserved.
  Shadow* shadow = nullptr;       ///< The last accesses; null if the emulator does not look for races here.
  Space space = Space::global;
  bool read_only = false;

  bool contains(std::uint64_t address, std::uint64_t count) const {
    const std::uint64_t offset = address - base;
    return offset <= size && count <= size - offset;
  }
};

namespace detail {

/// Loads the states of `count` bytes (1, 2, 4 or 8) as one number.
template <int count>
std::uint64_t load_states(const std::uint8_t* states) {
  static_assert(count <= 8);
  std::uint64_t value = 0;
  std::memcpy(&value, states, count);
  return value;
}

constexpr std::uint64_t kEachByte = 0x0101010101010101;

}  // namespace detail

template <int count>
bool all_written(const std::uint8_t* states) {
  if constexpr (count == 16) {
    return all_written<8>(states) && all_written<8>(states + 8);
  } else {
    constexpr std::uint64_t wanted = detail::kEachByte >> (64 - 8 * count);
    return detail::load_states<count>(states) == wanted;
  }
}

template <int count>
bool any_redzone(const std::uint8_t* states) {
  if constexpr (count == 16) {
    return any_redzone<8>(states) || any_redzone<8>(states + 8);
  } else {
    return (detail::load_states<count>(states) & (detail::kEachByte * kRedzone)) != 0;
  }
}

}  // namespace cuda_emulator
