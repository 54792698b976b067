// accumulate.hpp - adds up the gradients of micro-batches on the CPU. Compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/block_codec.hpp"
#include "onepass/arithmetic/lane.hpp"
#include "step/by_dtype.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// A gradient times the weight of its micro-batch. Where all weigh 1, nothing is multiplied.
template <class Codec, bool kWeighted>
float weighted(float weight, typename Codec::Element grad) {
  return kWeighted ? weight * Codec::decode(grad) : Codec::decode(grad);
}

template <class Codec, bool kWeighted>
void add_range(float* __restrict sum, const typename Codec::Element* __restrict grad, float weight,
               std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = Codec::decode(grad[i]);
    sum[i] = kWeighted ? lane::fma(weight, g, sum[i]) : sum[i] + g;
  }
}

/// Copies the first micro-batch. With Writes::past_cache and AVX2 or better, whole blocks bypass the cache.
template <class Codec, bool kWeighted>
void copy_range(float* __restrict sum, const typename Codec::Element* __restrict grad, float weight,
                std::int64_t count, [[maybe_unused]] Writes writes) {
  std::int64_t i = 0;
#if defined(__AVX2__)
  for (; writes == Writes::past_cache && i + kBlock <= count; i += kBlock) {
    alignas(64) float values[kBlock];
    for (int j = 0; j < kBlock; ++j) values[j] = weighted<Codec, kWeighted>(weight, grad[i + j]);
    for (int j = 0; j < kBlock; j += Vector16::kLanes) {
      Vector16::write(sum + i + j, Vector16::load(values + j), Writes::past_cache);
    }
  }
#endif
  for (; i < count; ++i) sum[i] = weighted<Codec, kWeighted>(weight, grad[i]);
}

template <class Codec, bool kWeighted>
void accumulate_as(const step::Table& table, const step::Chunk& chunk, float weight, Stores stores) {
  const step::Extent part = chunk.extent();
  auto* const grad = static_cast<typename Codec::Element*>(table.incoming[chunk.tensor]) + part.begin;
  float* const sum = static_cast<float*>(table.grads[chunk.tensor]) + part.begin;
  if (weight == 0.0f) {
    // left out, and at most zeroed
  } else if (table.accumulated[chunk.tensor] == 0) {
    copy_range<Codec, kWeighted>(sum, grad, weight, part.count, writes_to(sum, stores.unread));
  } else {
    add_range<Codec, kWeighted>(sum, grad, weight, part.count);
  }
  if (table.control->settings.zeroes_gradients != 0) {
    std::memset(grad, 0, static_cast<std::size_t>(part.count) * sizeof(typename Codec::Element));
  }
}

/// Accumulates the incoming gradients of chunks [first, last), times `weight`.
void accumulate(const step::Table& table, float weight, std::int64_t first, std::int64_t last,
                Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    if (table.incoming[chunk.tensor] == nullptr) continue;
    step::by_dtype(table.tensors[chunk.tensor].incoming_type, [&](auto codec) {
      using Codec = decltype(codec);
      weight == 1.0f ? accumulate_as<Codec, false>(table, chunk, weight, stores)
                     : accumulate_as<Codec, true>(table, chunk, weight, stores);
    });
  }
  finish(stores.unread);
}

}  // namespace
}  // namespace onepass::cpu
