#include "host/cpu/streams.hpp"

#include <cstdint>
#include <cstring>

#include "step/lookup.hpp"
#include "step/start.hpp"

namespace onepass::cpu {
namespace {

StreamLayout layout_of(States states) {
  switch (states) {
    case States::bfloat16:
      return {sizeof(std::uint16_t), false};
    case States::quantized8:
      return {sizeof(std::uint8_t), true};
    default:
      return {sizeof(float), false};
  }
}

/// Layout of a remainder that begins as zeros.
StreamLayout layout_of(Master master) {
  return {master == Master::split ? sizeof(std::uint16_t) : sizeof(std::uint8_t), false};
}

/// Calls work(offset, bytes) for the ranges of a stream that a chunk has: its elements, and their scales. The
/// last chunk of a tensor also has the gap before the scales.
template <class Work>
void over_ranges(StreamLayout layout, std::int64_t numel, step::Extent part, const Work& work) {
  const auto element = static_cast<std::int64_t>(layout.element);
  const std::int64_t end = part.begin + part.count;
  const std::int64_t scales = step::scales_at(numel);
  const bool has_gap = layout.has_scales && end == numel;
  const auto call = [&](std::int64_t first, std::int64_t last) {
    work(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
  };
  call(part.begin * element, has_gap ? scales : end * element);
  if (!layout.has_scales) return;
  constexpr std::int64_t kScale = sizeof(std::uint16_t);
  call(scales + part.begin / storage::kBlock * kScale,
       scales + (end + storage::kBlock - 1) / storage::kBlock * kScale);
}

}  // namespace

void zero_streams(const step::Table& table, step::Chunk chunk) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const step::Extent part = step::extent(table, chunk);
  const auto zero = [&](void* stream, StreamLayout layout) {
    if (stream == nullptr) return;
    over_ranges(layout, tensor.numel, part, [&](std::size_t offset, std::size_t bytes) {
      std::memset(static_cast<std::byte*>(stream) + offset, 0, bytes);
    });
  };
  for (void* const state : tensor.states) zero(state, layout_of(tensor.state_storage));
  if (!step::has_master(tensor)) zero(tensor.remainder, layout_of(tensor.master));
  if (table.incoming != nullptr) zero(table.grads[chunk.tensor], {sizeof(float), false});
}

void load_streams(const step::Table& table, step::Chunk chunk, std::span<const SavedStream> saved) {
  const step::Extent part = step::extent(table, chunk);
  for (const SavedStream& stream : saved) {
    over_ranges(stream.layout, table.tensors[chunk.tensor].numel, part,
                [&](std::size_t offset, std::size_t bytes) {
                  std::memcpy(stream.to + offset, stream.from.data() + offset, bytes);
                });
  }
}

}  // namespace onepass::cpu
