#include "host/optimizer/memory/state_memory.hpp"

#include "host/optimizer/memory/given_streams.hpp"

namespace onepass {
namespace {

constexpr std::size_t kCacheLine = 64;

/// From this size on, streams that start at equal offsets in a page evict each other from the cache. Shifting
/// each by a page and one cache line keeps them apart (1 to 17% faster on one machine).
constexpr std::size_t kLarge = 64 * 1024;
constexpr std::size_t kSkew = 4096 + kCacheLine;

/// Bytes from the start of a stream to the start of the next.
constexpr std::size_t stride(std::size_t bytes) {
  const std::size_t whole = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  return bytes >= kLarge ? whole + kSkew : whole;
}

/// Room in the optimizer's own memory. Without memory it only counts the bytes.
struct Room {
  std::byte* memory;
  std::size_t taken = 0;

  [[nodiscard]] void* at(std::size_t offset) const {
    return memory == nullptr ? nullptr : memory + taken + offset;
  }
};

/// Takes room for the parts of a stream that have no place yet. Scales lie at step::scales_at() if codes lie
/// before them.
void place_own(const StreamSpec& spec, const Shard& shard, Room& room, StreamPlace& place) {
  std::size_t bytes = 0;
  for (const StreamPart& part : spec.parts(shard)) {
    void*& to = place.part(part.are_scales);
    if (to != nullptr) continue;
    if (bytes != 0) bytes = static_cast<std::size_t>(step::scales_at(shard.numel));
    to = room.at(bytes);
    bytes += part.bytes();
  }
  room.taken += stride(bytes);
}

/// Places all streams of parameters: those without memory of the caller's in the room.
std::vector<StreamPlaces> place_all(std::span<const Parameter> parameters,
                                    std::span<const std::vector<StreamSpec>> specs, Room& room) {
  std::vector<StreamPlaces> all;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    StreamPlaces& places = all.emplace_back();
    place_given(parameters[p], specs[p], places);
    for (std::size_t s = 0; s < specs[p].size(); ++s) {
      place_own(specs[p][s], Shard::of(parameters[p]), room, places[s]);
    }
  }
  return all;
}

}  // namespace

void place_given(const Parameter& parameter, std::span<const StreamSpec> specs, StreamPlaces& places) {
  for (std::size_t s = 0; s < specs.size(); ++s) {
    for (const StreamPart& part : specs[s].parts(Shard::of(parameter))) {
      const GivenStream* const given = given_stream(parameter, part.name);
      if (given != nullptr) places[s].part(part.are_scales) = given->tensor.data;
    }
  }
}

StateMemory StateMemory::allocate(Device device, std::span<const Parameter> parameters,
                                  std::span<const std::vector<StreamSpec>> specs) {
  Room counted{nullptr};
  (void)place_all(parameters, specs, counted);
  StateMemory memory{DeviceBuffer(device, counted.taken), {}};
  Room room{memory.allocation.as<std::byte>()};
  memory.streams = place_all(parameters, specs, room);
  return memory;
}

}  // namespace onepass
