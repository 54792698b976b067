// chunk_streams.hpp - the streams of one chunk, which every fused loop takes, and the zeroing of its
// gradients. Compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The streams of one chunk. `param`, `remainder` and `grad` point at its first element; `states` and
/// `scales` point at those of the tensor's first element.
template <class FormatOf, class GradCodecOf>
struct ChunkStreams {
  using Format = FormatOf;
  using GradCodec = GradCodecOf;
  using Param = typename Format::Param;

  typename Param::Element* param;
  typename Param::Remainder* remainder;  ///< Null if the format has no remainder.
  const typename GradCodec::Element* grad;
  void* const* states;
  void* const* scales;  ///< Of states of 8 bits.
  std::int64_t begin;   ///< Number of the chunk's first element in the tensor's memory.
  std::int64_t count;   ///< Elements of the chunk.
  std::int64_t block;   ///< Chunk::block()
  std::int64_t scale;   ///< Chunk::scale
  int lead;             ///< Chunk::lead()
  Stores stores;

  static ChunkStreams of(const step::TensorEntry& tensor, void* grad, const step::Chunk& chunk,
                         Stores stores) {
    ChunkStreams streams{static_cast<typename Param::Element*>(tensor.param) + chunk.begin,
                         nullptr,
                         static_cast<const typename GradCodec::Element*>(grad) + chunk.begin,
                         tensor.states,
                         tensor.scales,
                         chunk.begin,
                         chunk.count,
                         chunk.block(),
                         chunk.scale,
                         chunk.lead(),
                         stores};
    if constexpr (Format::kHasRemainder) {
      streams.remainder = static_cast<typename Param::Remainder*>(tensor.remainder) + chunk.begin;
    }
    return streams;
  }

  /// The rest of the chunk, from its element i on.
  [[nodiscard]] ChunkStreams from(std::int64_t i) const {
    ChunkStreams rest = *this;
    rest.param += i, rest.grad += i, rest.begin += i, rest.count -= i;
    if constexpr (Format::kHasRemainder) rest.remainder += i;
    return rest;
  }
};

/// Zeroes the gradients of a chunk, while they are still in the cache.
void zero_chunk(const step::Table& table, const step::Chunk& chunk) {
  const step::Extent part = chunk.extent();
  const auto size = static_cast<std::int64_t>(size_of(table.tensors[chunk.tensor].grad_type));
  std::memset(static_cast<std::byte*>(table.grads[chunk.tensor]) + part.begin * size, 0,
              static_cast<std::size_t>(part.count * size));
}

}  // namespace
}  // namespace onepass::cpu
