// instantiate.cuh - makes the CudaVariants of a rule; included by one small .cu for each rule.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "kernels/cuda_rule.hpp"
#include "kernels/elementwise.cuh"
#include "kernels/launch.cuh"
#include "kernels/prepare.cuh"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/float32.hpp"

namespace onepass::kernels {

template <class Rule, class Variant, class Format>
struct Launcher {
  static int fit() {
    (void)kernels::resident_blocks(prepare<Rule>, kPrepareThreads);
    return kernels::resident_blocks(elementwise<Rule, Variant, Format>, kThreads);
  }

  static void step(const Table& table, int resident, Stream stream) {
    const std::int64_t prepare_work = (table.tensor_count + kPrepareThreads - 1) / kPrepareThreads;
    launch(prepare<Rule>, {blocks_for(prepare_work, resident), kPrepareThreads, stream.handle()}, table);
    launch(elementwise<Rule, Variant, Format>,
           {blocks_for(table.chunk_count, resident), kThreads, stream.handle()}, table);
  }
};

template <class Rule, std::size_t... kVariant>
const CudaVariant* make_variants(std::index_sequence<kVariant...>) {
  using Format = storage::Float32Format;
  static constexpr std::array<CudaVariant, sizeof...(kVariant)> kMade{
      CudaVariant{&Launcher<Rule, typename Rule::Variants::template At<kVariant>, Format>::fit,
                  &Launcher<Rule, typename Rule::Variants::template At<kVariant>, Format>::step}...};
  return kMade.data();
}

template <ElementwiseRule Rule>
const CudaVariant* instantiate() {
  return make_variants<Rule>(std::make_index_sequence<Rule::Variants::kCount>{});
}

}  // namespace onepass::kernels
