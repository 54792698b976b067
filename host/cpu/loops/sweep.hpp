// sweep.hpp - the CPU's update loop: load, move, store, for a run of chunks. Compiled once for each rule and
// instruction set, with flags of its own (cmake/OnepassRule.cmake).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "host/cpu/cpu_rule.hpp"
#include "host/cpu/loops/sweep_blocks.hpp"
#include "host/cpu/loops/sweep_grouped.hpp"
#include "host/cpu/loops/sweep_run.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Everything here has internal linkage: a symbol that two instruction sets shared would be kept once by the
// linker, and a machine would run what was compiled for another.
namespace onepass::cpu {
namespace {

using step::Chunk;
using step::Extent;
using step::Table;
using step::TensorEntry;

/// While the chunk is still in the cache.
void zero_chunk(const Table& table, Chunk chunk) {
  const Extent part = step::extent(table, chunk);
  const auto size = static_cast<std::int64_t>(size_of(table.tensors[chunk.tensor].grad_type));
  std::memset(static_cast<std::byte*>(table.grads[chunk.tensor]) + part.begin * size, 0,
              static_cast<std::size_t>(part.count * size));
}

/// The loop for what the tensor asks for.
template <class Variant, class Format, class GradCodec, class Rule>
void sweep_chunk(const Table& table, Chunk chunk, const rule::TensorCoefficients<Rule>& k, Stores stores) {
  using Streams = ChunkStreams<Format, GradCodec>;
  const Streams streams =
      Streams::of(table.tensors[chunk.tensor], table.grads[chunk.tensor], step::extent(table, chunk), stores);
  const bool plain = k.around.is_plain();
  if constexpr (Format::kQuantized) {
    plain ? sweep_grouped<Variant, true>(k, streams) : sweep_grouped<Variant, false>(k, streams);
  } else if constexpr (Format::kAllFloat32) {
    plain ? sweep_elements<Variant, true>(k, streams) : sweep_elements<Variant, false>(k, streams);
  } else {
    if constexpr (Format::kRoundsStochastically) {
      if (k.step.rounds_stochastically != 0) {
        return plain ? sweep_rounded<Variant, true>(k, streams) : sweep_rounded<Variant, false>(k, streams);
      }
    }
    plain ? sweep_to_nearest<Variant, true>(k, streams) : sweep_to_nearest<Variant, false>(k, streams);
  }
}

template <class Rule, class Variant, class Format>
void sweep(const Table& table, std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const Chunk chunk = table.chunks[c];
    const auto& k = step::coefficients<Rule>(table)[chunk.tensor];
    if (k.step.active) {
      if (Format::kAllFloat32 || table.tensors[chunk.tensor].grad_type == DType::float32) {
        sweep_chunk<Variant, Format, storage::Float32>(table, chunk, k, stores);
      } else {
        sweep_chunk<Variant, Format, typename Format::LowGrad>(table, chunk, k, stores);
      }
    }
    if (k.step.zero_grad) zero_chunk(table, chunk);
  }
  finish(stores.unread);
}

template <class Rule, class Variant, std::size_t... kFormat>
constexpr SweepsOfVariant sweeps_of(std::index_sequence<kFormat...>) {
  return {&sweep<Rule, Variant, storage::FormatAt<kFormat>>...};
}

template <class Rule, class Variants = typename Rule::Variants>
struct Sweeps;

template <class Rule, class... Variant>
struct Sweeps<Rule, VariantList<Variant...>> {
  static constexpr SweepsOfVariant kAll[] = {
      sweeps_of<Rule, Variant>(std::make_index_sequence<storage::kFormatCount>{})...};
};

}  // namespace
}  // namespace onepass::cpu
