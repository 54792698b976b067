// perturb.hpp - the CPU loops that measure what SAM moves parameters by, and that move them. Compiled once
// for each instruction set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "host/cpu/exact_leaf.hpp"
#include "host/cpu/loops/chunk_streams.hpp"
#include "host/cpu/loops/followers.hpp"
#include "host/cpu/loops/reduce.hpp"
#include "step/by_dtype.hpp"
#include "step/perturb.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Calls work(part) for the parts of a chunk, of a leaf's size and less at the end, which stay in the
/// first-level cache.
template <class Work>
void over_leaves(const step::Chunk& chunk, const Work& work) {
  for (std::int64_t i = 0; i < chunk.count; i += kLeaf) {
    work(step::Extent{chunk.begin + i, std::min<std::int64_t>(chunk.count - i, kLeaf)});
  }
}

/// Returns the gradients of a part of a tensor, with zeros behind them up to the size of a leaf: where they
/// lie, or in `room`.
const float* loaded_gradients(const step::Table& table, std::uint32_t tensor, step::Extent part,
                              float* room) {
  const float* loaded = nullptr;
  step::by_dtype(step::measured_type(table, table.tensors[tensor]), [&](auto codec) {
    using Codec = decltype(codec);
    const auto* const from = static_cast<const typename Codec::Element*>(table.grads[tensor]) + part.begin;
    loaded = decoded<Codec>(from, part.count, room);
  });
  return loaded;
}

/// TableLoops::measure_perturbation.
void measure_perturbation(const step::Table& table, const step::Perturbation& how, std::int64_t first,
                          std::int64_t last, Reduction* into) {
  const float eta = how.eta;
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    if (step::measured_gradient(table, chunk.tensor) == nullptr) continue;
    over_leaves(chunk, [&](step::Extent part) {
      alignas(64) float room[kLeaf], values[kLeaf];
      const float* terms = loaded_gradients(table, chunk.tensor, part, room);
      if (how.is_adaptive != 0) {
        load_params(table.tensors[chunk.tensor], part, values);
        std::fill(values + part.count, values + kLeaf, 0.0f);
        for (int i = 0; i < kLeaf; ++i) values[i] = step::term<true>(eta, values[i], terms[i]);
        terms = values;
      }
      const double special = add_exact_leaf<Measure::exact_squares>(terms, into->sum);
      step::add_leaf<Measure::exact_squares, OwnWords>(*into, special);
    });
  }
}

template <bool kAdaptive>
void move_values(float* __restrict values, const float* __restrict gradients, const step::Push push,
                 float eta, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = push.moved<kAdaptive>(eta, values[i], gradients[i]);
  }
}

/// Copies a part of a stream whose elements have `size` bytes.
void keep(void* kept, const void* stream, step::Extent part, std::size_t size) {
  const std::size_t first = static_cast<std::size_t>(part.begin) * size;
  std::memcpy(static_cast<std::byte*>(kept) + first, static_cast<const std::byte*>(stream) + first,
              static_cast<std::size_t>(part.count) * size);
}

/// Keeps a part of a tensor, and moves it. Writes it through the cache, where it lies since it was read.
void perturb_part(const step::Table& table, const step::Perturbation& how, const step::Push& push,
                  std::uint32_t number, step::Extent part, Stores stores) {
  const step::TensorEntry& tensor = table.tensors[number];
  const step::KeptTensor& kept = how.kept[number];
  keep(kept.param, tensor.param, part, size_of(tensor.param_type));
  if (kept.copy != nullptr) keep(kept.copy, tensor.copy, part, size_of(tensor.copy_type));

  alignas(64) float room[kLeaf], values[kLeaf];
  const float* const gradients = loaded_gradients(table, number, part, room);
  load_params(tensor, part, values);
  how.is_adaptive != 0 ? move_values<true>(values, gradients, push, how.eta, part.count)
                       : move_values<false>(values, gradients, push, how.eta, part.count);
  if (tensor.param_type == DType::float32) {
    std::memcpy(static_cast<float*>(tensor.param) + part.begin, values,
                static_cast<std::size_t>(part.count) * sizeof(float));
  } else {
    write_low(tensor.param_type, tensor.param, part, values, stores);
  }
  if (kept.copy != nullptr) write_low(tensor.copy_type, tensor.copy, part, values, stores);
}

/// TableLoops::perturb.
void perturb(const step::Table& table, const step::Perturbation& how, const step::Push& push,
             std::int64_t first, std::int64_t last, Stores stores) {
  stores.unread = Writes::through_cache;
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    if (step::is_moved(table, push, chunk.tensor)) {
      over_leaves(chunk,
                  [&](step::Extent part) { perturb_part(table, how, push, chunk.tensor, part, stores); });
    }
    if (step::zeroes_gradient(table, chunk.tensor)) zero_chunk(table, chunk);
  }
}

}  // namespace
}  // namespace onepass::cpu
