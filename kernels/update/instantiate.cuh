// instantiate.cuh - makes the CudaRule of a rule. One small .cu per rule includes it.
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
CudaLaunch prepare_of() {
  return {.resident_blocks = [] { return resident_blocks(prepare<Rule>, kPrepareThreads); },
          .launch =
              [](const Table& table, int resident, Stream stream) {
                const std::int64_t work = (table.tensor_count + kPrepareThreads - 1) / kPrepareThreads;
                launch(prepare<Rule>, {blocks_for(work, resident), kPrepareThreads, stream.handle()}, table);
              }};
}

template <class Rule, class Variant, class Format>
CudaLaunch update_of() {
  return {
      .resident_blocks = [] { return resident_blocks(elementwise<Rule, Variant, Format>, kThreads<Format>); },
      .launch =
          [](const Table& table, int resident, Stream stream) {
            launch(elementwise<Rule, Variant, Format>,
                   {blocks_for(table.chunk_count, resident), kThreads<Format>, stream.handle()}, table);
          }};
}

/// A variant without states has one update kernel for all formats that differ in their states alone.
template <class Rule, std::size_t kVariant, std::size_t... kFormat>
CudaUpdates updates_of(std::index_sequence<kFormat...>) {
  using Variant = typename Rule::Variants::template At<kVariant>;
  return {update_of<Rule, Variant, storage::FormatFor<kStateCount<Variant>, kFormat>>()...};
}

template <class Rule, std::size_t... kVariant>
const CudaUpdates* make_updates(std::index_sequence<kVariant...>) {
  static const std::array<CudaUpdates, sizeof...(kVariant)> made{
      updates_of<Rule, kVariant>(std::make_index_sequence<storage::kFormatCount>{})...};
  return made.data();
}

/// Every rule has a prepare kernel. A rule that uses the loops of another takes its update kernels from it.
template <ElementwiseRule Rule>
CudaRule instantiate() {
  using Loops = rule::LoopsOf<Rule>;
  if constexpr (std::is_same_v<Loops, Rule>) {
    return {prepare_of<Rule>(), make_updates<Rule>(std::make_index_sequence<Rule::Variants::kCount>{})};
  } else {
    return {prepare_of<Rule>(), cuda_rule<Loops>().updates};
  }
}

}  // namespace onepass::kernels
