// update.hpp - the CPU's update of consecutive chunks of one format: chooses the loop for each tensor.
// Compiled once for each rule and instruction set, with flags of its own (cmake/OnepassRule.cmake).
//
// The names of all loops follow one scheme. update_chunk_float32(), update_chunk_bits16() and
// update_chunk_bits8() update one chunk; bits16 and bits8 are formats of 16-bit parameters, with states of 16
// or 32 bits, and of 8 bits. Each calls the one loop that does the work: update_float32(), update_blocks16()
// or update_blocks8().
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/loops/bits16_loop.hpp"
#include "host/cpu/loops/bits8_loop.hpp"
#include "host/cpu/loops/chunk_streams.hpp"
#include "host/cpu/loops/float32_loop.hpp"
#include "host/cpu/staged/rule_loops.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Everything here, and in every header of codecs/ and loops/ that is compiled once for each instruction set,
// has internal linkage. Of a symbol that two instruction sets share, the linker would keep one, and a machine
// would run code that was compiled for another.
namespace onepass::cpu {
namespace {

using step::Chunk;
using step::Table;
using step::TensorEntry;

/// Updates one chunk by the loop for its format and rounding.
template <class Variant, rule::Extras kExtras, class Rule, class Streams>
void update_streams(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  if constexpr (Streams::Format::kQuantized) {
    update_chunk_bits8<Variant, kExtras>(k, streams);
  } else if constexpr (Streams::Format::kAllFloat32) {
    update_chunk_float32<Variant, kExtras>(k, streams);
  } else {
    update_chunk_bits16<Variant, kExtras>(k, streams);
  }
}

/// Updates one chunk by the loop for its format, its rounding, and the operations that its tensor needs. Only
/// in float32 a loop without scale and decay is faster than with them. States of 8 bits settle in the loop;
/// those of other formats have settled before it (host/cpu/staged/settle.hpp).
template <class Variant, class Format, class GradCodec, class Rule>
void update_chunk(const Table& table, const Chunk& chunk, const rule::TensorCoefficients<Rule>& k,
                  Stores stores) {
  using Streams = ChunkStreams<Format, GradCodec>;
  const Streams streams = Streams::of(table.tensors[chunk.tensor], table.grads[chunk.tensor], chunk, stores);
  using rule::Extras;
  const Extras extras = k.around.extras();
  if constexpr (Format::kQuantized) {
    const bool general = extras == Extras::all || k.around.settles(kStateCount<Variant> != 0);
    return general ? update_streams<Variant, Extras::settle>(k, streams)
                   : update_streams<Variant, Extras::scale>(k, streams);
  } else {
    if (extras == Extras::all) return update_streams<Variant, Extras::all>(k, streams);
    if constexpr (Format::kAllFloat32) {
      if (extras == Extras::none) return update_streams<Variant, Extras::none>(k, streams);
    }
    update_streams<Variant, Extras::scale>(k, streams);
  }
}

/// Updates the chunks [first, last) of the table, all of which have the given format.
template <class Rule, class Variant, class Format>
void update_chunks(const Table& table, std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const Chunk& chunk = table.chunks[c];
    const auto& k = step::coefficients<Rule>(table)[chunk.tensor];
    if (k.step.active) {
      if (Format::kAllFloat32 || table.tensors[chunk.tensor].grad_type == DType::float32) {
        update_chunk<Variant, Format, storage::Float32>(table, chunk, k, stores);
      } else {
        update_chunk<Variant, Format, typename Format::LowGrad>(table, chunk, k, stores);
      }
    }
    if (k.step.zero_grad) zero_chunk(table, chunk);
  }
  finish(stores.unread);
}

/// The fused loop of a format, or null if the format is staged. A variant without states has one loop for all
/// formats that differ in their states alone.
template <class Rule, class Variant, std::size_t kFormat>
constexpr UpdateLoop fused_loop() {
  if constexpr (storage::kIsFused<kStateCount<Variant>, kFloat32States<Variant>, kFormat>) {
    return &update_chunks<Rule, Variant,
                          storage::FormatAt<storage::kFormatFor<kStateCount<Variant>, kFormat>>>;
  } else {
    return nullptr;
  }
}

/// fused_loop() of each format.
template <class Rule, class Variant, class Formats = std::make_index_sequence<storage::kFormatCount>>
struct FusedLoops;

template <class Rule, class Variant, std::size_t... kFormat>
struct FusedLoops<Rule, Variant, std::index_sequence<kFormat...>> {
  static constexpr UpdateLoop kAll[] = {fused_loop<Rule, Variant, kFormat>()...};
};

/// The loops of all variants of a rule, fused and staged.
template <class Rule, class Variants = rule::Compiled<Rule>>
struct RuleLoops;

template <class Rule, class... Variant>
struct RuleLoops<Rule, VariantList<Variant...>> {
  static constexpr VariantLoops kAll[] = {
      {FusedLoops<Rule, Variant>::kAll, staged_loops<Rule, Variant>()}...};
};

}  // namespace
}  // namespace onepass::cpu
