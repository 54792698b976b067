// start.hpp - the CPU loop that begins masters and moving averages. Compiled once for each instruction set.
#pragma once

#include <cstdint>

#include "step/by_dtype.hpp"
#include "step/lookup.hpp"
#include "step/start.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

template <class From, class To>
void convert(const typename From::Element* __restrict from, typename To::Element* __restrict to,
             std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = To::encode(From::decode(from[i]));
}

/// TableLoops::copy_params.
void copy_params(const step::Table& table, const step::Chunk& chunk) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const step::Extent part = chunk.extent();
  step::over_streams_that_copy(tensor, [&](void* stream, auto to) {
    step::by_dtype(tensor.param_type, [&](auto from) {
      using From = decltype(from);
      using To = decltype(to);
      convert<From, To>(static_cast<const typename From::Element*>(tensor.param) + part.begin,
                        static_cast<typename To::Element*>(stream) + part.begin, part.count);
    });
  });
}

}  // namespace
}  // namespace onepass::cpu
