#include "host/cpu/streams.hpp"

#include <cstdint>
#include <cstring>

#include "step/lookup.hpp"
#include "step/start.hpp"

namespace onepass::cpu {
namespace {

/// Bytes of an element of a state.
std::size_t element_of(States states) {
  switch (states) {
    case States::bfloat16:
      return sizeof(std::uint16_t);
    case States::quantized8:
      return sizeof(std::uint8_t);
    default:
      return sizeof(float);
  }
}

/// Bytes of an element of a remainder that begins as zeros.
std::size_t element_of(Master master) {
  return master == Master::split ? sizeof(std::uint16_t) : sizeof(std::uint8_t);
}

/// The bytes of a stream that a chunk has.
struct Bytes {
  std::size_t first;
  std::size_t count;
};

/// Returns them for a stream with one element for each `block` elements of the tensor.
Bytes bytes_of(step::Extent part, std::size_t element, std::int64_t block) {
  const std::int64_t first = part.begin / block, last = (part.begin + part.count + block - 1) / block;
  return {static_cast<std::size_t>(first) * element, static_cast<std::size_t>(last - first) * element};
}

}  // namespace

void zero_streams(const step::Table& table, step::Chunk chunk) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const step::Extent part = step::extent(table, chunk);
  const auto zero = [&](void* stream, std::size_t element, std::int64_t block) {
    if (stream == nullptr) return;
    const Bytes bytes = bytes_of(part, element, block);
    std::memset(static_cast<std::byte*>(stream) + bytes.first, 0, bytes.count);
  };
  for (void* const state : tensor.states) zero(state, element_of(tensor.state_storage), 1);
  for (void* const scales : tensor.scales) zero(scales, sizeof(std::uint16_t), storage::kBlock);
  if (!step::has_master(tensor)) zero(tensor.remainder, element_of(tensor.master), 1);
  if (table.incoming != nullptr) zero(table.grads[chunk.tensor], sizeof(float), 1);
}

void load_streams(const step::Table& table, step::Chunk chunk, std::span<const SavedStream> saved) {
  const step::Extent part = step::extent(table, chunk);
  for (const SavedStream& stream : saved) {
    const Bytes bytes = bytes_of(part, stream.element, stream.block);
    std::memcpy(stream.to + bytes.first, stream.from.data() + bytes.first, bytes.count);
  }
}

}  // namespace onepass::cpu
