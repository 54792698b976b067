// float32_loop.hpp - updates one chunk whose numbers are all float32. Compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Updates `count` elements. The coefficients are a local copy, so that no store can change them. The buffers
/// do not overlap, as the optimizer checked when they were registered; ivdep tells the compiler. A function
/// of its own (noinline), so that tests/build/loop_objects_test.py finds its machine code.
template <class Variant, bool kPlain, class Rule, std::size_t... kState, class... State>
__attribute__((noinline)) void update_float32(const rule::TensorCoefficients<Rule> k, float* __restrict param,
                                              const float* __restrict grad, std::int64_t count,
                                              std::index_sequence<kState...> /*states*/,
                                              State* __restrict... states) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    float p = param[i], state[sizeof...(kState) + 1] = {states[i]...};
    rule::move<Variant, false, kPlain>(k, p, grad[i], state[kState]...);
    param[i] = p;
    ((states[i] = state[kState]), ...);
  }
}

template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
void update_chunk_float32(const rule::TensorCoefficients<Rule>& k, const Streams& chunk,
                          std::index_sequence<kState...> indices) {
  update_float32<Variant, kPlain>(k, chunk.param, chunk.grad, chunk.count, indices,
                                  (static_cast<float*>(chunk.states[kState]) + chunk.begin)...);
}

/// Updates one chunk; Streams is a ChunkStreams. kPlain: the tensor needs neither clamping nor L1
/// (rule::Around::is_plain()), and the loop does without them.
template <class Variant, bool kPlain, class Rule, class Streams>
void update_chunk_float32(const rule::TensorCoefficients<Rule>& k, const Streams& chunk) {
  update_chunk_float32<Variant, kPlain>(k, chunk, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
