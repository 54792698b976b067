#include "host/state_memory.hpp"

namespace onepass {
namespace {

constexpr std::size_t kCacheLine = 64;

/// From this size on, streams that start at equal offsets of a page evict each other; an odd number of cache
/// lines and a page between them keeps them apart (1 to 17% on one machine).
constexpr std::size_t kLarge = 64 * 1024;
constexpr std::size_t kSkew = 4096 + kCacheLine;

constexpr std::size_t stride(std::size_t bytes) {
  const std::size_t whole = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  return bytes >= kLarge ? whole + kSkew : whole;
}

}  // namespace

StateMemory StateMemory::allocate(Device device, std::span<const Parameter> parameters,
                                  std::size_t state_count) {
  std::size_t total = 0;
  for (const Parameter& parameter : parameters) total += state_count * stride(parameter.value.bytes());

  StateMemory memory{DeviceBuffer(device, total), {}};
  std::byte* next = memory.block.as<std::byte>();
  for (const Parameter& parameter : parameters) {
    StatePointers pointers{};
    for (std::size_t s = 0; s < state_count; ++s) {
      pointers[s] = next;
      next += stride(parameter.value.bytes());
    }
    memory.states.push_back(pointers);
  }
  fill_zero({device, memory.block.data()}, total);
  synchronize(device);
  return memory;
}

}  // namespace onepass
