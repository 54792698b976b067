// float32_loop.hpp - updates one chunk whose numbers are all float32. Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Updates `count` elements. The buffers do not overlap, as the optimizer checked when they were registered;
/// ivdep tells the compiler.
template <class Variant, rule::Extras kExtras, class Rule, std::size_t... kState, class... State>
ONEPASS_LANE void move_float32(const rule::TensorCoefficients<Rule>& k, float* __restrict param,
                               const float* __restrict grad, std::int64_t count,
                               std::index_sequence<kState...> /*states*/, State* __restrict... states) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    float p = param[i], state[sizeof...(kState) + 1] = {states[i]...};
    rule::move<Variant, false, kExtras>(k, p, grad[i], state[kState]...);
    param[i] = p;
    ((states[i] = state[kState]), ...);
  }
}

/// Updates `count` elements: all at once, or kFetchedElements at a time if the loop fetches ahead. The
/// coefficients are a local copy, so that no store can change them. A function of its own (noinline), so that
/// tests/build/loop_objects_test.py finds its machine code.
template <class Variant, rule::Extras kExtras, class Rule, std::size_t... kState, class... State>
__attribute__((noinline)) void update_float32(const rule::TensorCoefficients<Rule> k, float* param,
                                              const float* grad, std::int64_t count, bool fetches_ahead,
                                              std::index_sequence<kState...> indices, State*... states) {
  const std::int64_t stride = fetches_ahead ? kFetchedElements : count;
  for (std::int64_t i = 0; i < count; i += stride) {
    if (fetches_ahead) {
      fetch_ahead<kFetchedElements>(param + i);
      fetch_ahead<kFetchedElements>(grad + i);
      (..., fetch_ahead<kFetchedElements>(states + i));
    }
    move_float32<Variant, kExtras>(k, param + i, grad + i, std::min(stride, count - i), indices,
                                   (states + i)...);
  }
}

template <class Variant, rule::Extras kExtras, class Rule, class Streams, std::size_t... kState>
void update_chunk_float32(const rule::TensorCoefficients<Rule>& k, const Streams& chunk,
                          std::index_sequence<kState...> indices) {
  update_float32<Variant, kExtras>(k, chunk.param, chunk.grad, chunk.count, chunk.stores.fetches_ahead,
                                   indices, (static_cast<float*>(chunk.states[kState]) + chunk.begin)...);
}

/// Updates one chunk; Streams is a ChunkStreams. kExtras: the operations that the tensor needs
/// (rule::Around::extras()), or more.
template <class Variant, rule::Extras kExtras, class Rule, class Streams>
void update_chunk_float32(const rule::TensorCoefficients<Rule>& k, const Streams& chunk) {
  update_chunk_float32<Variant, kExtras>(k, chunk, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
