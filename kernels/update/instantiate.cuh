// instantiate.cuh - makes the CudaVariants of a rule. One small .cu per rule includes it.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kernels/launch.cuh"
#include "kernels/update/cuda_rule.hpp"
#include "kernels/update/elementwise.cuh"
#include "kernels/update/prepare.cuh"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::kernels {

using namespace step;

template <class Rule>
CudaUpdate prepare_of() {
  return {.resident_blocks = [] { return resident_blocks(prepare<Rule>, kPrepareThreads); },
          .launch =
              [](const Table& table, int resident, Stream stream) {
                const std::int64_t work = (table.tensor_count + kPrepareThreads - 1) / kPrepareThreads;
                launch(prepare<Rule>, {blocks_for(work, resident), kPrepareThreads, stream.handle()}, table);
              }};
}

template <class Rule, class Variant, class Format>
CudaUpdate update_of() {
  return {
      .resident_blocks = [] { return resident_blocks(elementwise<Rule, Variant, Format>, kThreads<Format>); },
      .launch =
          [](const Table& table, int resident, Stream stream) {
            launch(elementwise<Rule, Variant, Format>,
                   {blocks_for(table.chunk_count, resident), kThreads<Format>, stream.handle()}, table);
          }};
}

/// Every rule has a prepare kernel. A rule that uses the loops of another takes its update kernels from it.
template <class Rule, std::size_t kVariant, std::size_t... kFormat>
CudaVariant variant_of(std::index_sequence<kFormat...>) {
  using Loops = rule::LoopsOf<Rule>;
  if constexpr (std::is_same_v<Loops, Rule>) {
    using Variant = typename Rule::Variants::template At<kVariant>;
    return {prepare_of<Rule>(), {update_of<Rule, Variant, storage::FormatAt<kFormat>>()...}};
  } else {
    return {prepare_of<Rule>(), cuda_variants<Loops>()[kVariant].updates};
  }
}

template <class Rule, std::size_t... kVariant>
const CudaVariant* make_variants(std::index_sequence<kVariant...>) {
  static const std::array<CudaVariant, sizeof...(kVariant)> made{
      variant_of<Rule, kVariant>(std::make_index_sequence<storage::kFormatCount>{})...};
  return made.data();
}

template <ElementwiseRule Rule>
const CudaVariant* instantiate() {
  return make_variants<Rule>(std::make_index_sequence<Rule::Variants::kCount>{});
}

}  // namespace onepass::kernels
