// region.hpp - a stretch of emulated memory with bounds and, for each byte, whether it was written.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "ptx/types.hpp"

namespace cuda_emulator {

class Shadow;

/// What is known about one byte. Redzones stand between `__shared__` arrays.
enum ByteState : std::uint8_t { kUnwritten = 0, kWritten = 1, kRedzone = 2 };

/// Global allocations, the shared memory of a block and the local memory of a thread are all regions,
/// so that one piece of code checks them all.
struct Region {
  std::uint64_t base = 0;         ///< Address of the first byte, as the kernel sees it.
  std::uint64_t size = 0;         ///< 0 once freed, so that the bounds check catches use after free.
  char* bytes = nullptr;          ///< Where the emulator keeps the contents.
  std::uint8_t* state = nullptr;  ///< ByteState of each byte; null where the host writes unseen.
  Shadow* shadow = nullptr;       ///< Who accessed what; null where races are not looked for.
  Space space = Space::global;
  bool read_only = false;

  bool contains(std::uint64_t address, std::uint64_t count) const {
    const std::uint64_t offset = address - base;
    return offset <= size && count <= size - offset;
  }
};

namespace detail {

/// The states of `count` bytes (1, 2, 4, 8 or 16) folded by `and` or by `or` into at most 8 bytes.
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
