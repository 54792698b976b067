// accumulate.hpp - adds up the gradients of micro-batches on the CPU. Compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/block_codec.hpp"
#include "step/by_dtype.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

template <class Codec>
void add_range(float* __restrict sum, const typename Codec::Element* __restrict grad, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] = sum[i] + Codec::decode(grad[i]);
}

/// Copies the first micro-batch. With Writes::past_cache and AVX2 or better, whole blocks bypass the cache.
template <class Codec>
void copy_range(float* __restrict sum, const typename Codec::Element* __restrict grad, std::int64_t count,
                [[maybe_unused]] Writes writes) {
  std::int64_t i = 0;
#if defined(__AVX2__)
  for (; writes == Writes::past_cache && i + kBlock <= count; i += kBlock) {
    alignas(64) float values[kBlock];
    for (int j = 0; j < kBlock; ++j) values[j] = Codec::decode(grad[i + j]);
    for (int j = 0; j < kBlock; j += Vector16::kLanes) {
      Vector16::write(sum + i + j, Vector16::load(values + j), Writes::past_cache);
    }
  }
#endif
  for (; i < count; ++i) sum[i] = Codec::decode(grad[i]);
}

template <class Codec>
void accumulate_as(const step::Table& table, step::Chunk chunk, Stores stores) {
  const step::Extent part = step::extent(table, chunk);
  auto* const grad = static_cast<typename Codec::Element*>(table.incoming[chunk.tensor]) + part.begin;
  float* const sum = static_cast<float*>(table.grads[chunk.tensor]) + part.begin;
  const bool is_first = table.accumulated[chunk.tensor] == 0;
  is_first ? copy_range<Codec>(sum, grad, part.count, writes_to(sum, stores.unread))
           : add_range<Codec>(sum, grad, part.count);
  if (table.control->settings.zeroes_gradients != 0) {
    std::memset(grad, 0, static_cast<std::size_t>(part.count) * sizeof(typename Codec::Element));
  }
}

/// Accumulates the incoming gradients of chunks [first, last).
void accumulate(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk chunk = table.chunks[c];
    if (table.incoming[chunk.tensor] == nullptr) continue;
    step::by_dtype(table.tensors[chunk.tensor].incoming_type,
                   [&](auto codec) { accumulate_as<decltype(codec)>(table, chunk, stores); });
  }
  finish(stores.unread);
}

}  // namespace
}  // namespace onepass::cpu
