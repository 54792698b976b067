// sweep.hpp - the CPU's update loop: load, move, store, for a run of chunks. Compiled once for each rule and
// instruction set, with flags of its own (cmake/OnepassRule.cmake).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "host/cpu/cpu_rule.hpp"
#include "kernels/advance.hpp"
#include "kernels/table.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/storage/float32.hpp"

// Everything here has internal linkage: a symbol that two instruction sets shared would be kept once by the
// linker, and a machine would run what was compiled for another.
namespace onepass::cpu {
namespace {

using kernels::Chunk;
using kernels::Extent;
using kernels::Table;
using kernels::TensorEntry;

/// One element: load, move, store. The states pass through an array of constant indices, which stays in
/// registers; captured by a lambda they would be read through pointers, and the loop would not vectorise.
template <class Variant, class Format, bool kPlain, class Rule, std::size_t... kState, class... StateElement>
inline __attribute__((always_inline)) void move_element(const rule::TensorCoefficients<Rule>& k,
                                                        typename Format::Param::Element& param,
                                                        typename Format::Grad::Element grad,
                                                        std::index_sequence<kState...> /*states*/,
                                                        StateElement&... state) {
  using State = typename Format::State;
  float p = Format::Param::decode(param);
  float value[sizeof...(state) + 1] = {State::decode(state)...};
  rule::move<Variant, kPlain>(k, p, Format::Grad::decode(grad), value[kState]...);
  param = Format::Param::encode(p);
  ((state = State::encode(value[kState])), ...);
}

/// `count` elements. The coefficients are a local copy, so that no store can change them; buffers are known
/// not to overlap (checked when they are registered), which ivdep passes on.
template <class Variant, class Format, bool kPlain, class Rule, class... StateElement>
void sweep_run(const rule::TensorCoefficients<Rule> k, typename Format::Param::Element* __restrict param,
               const typename Format::Grad::Element* __restrict grad, std::int64_t count,
               StateElement* __restrict... state) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    move_element<Variant, Format, kPlain>(k, param[i], grad[i], std::index_sequence_for<StateElement...>{},
                                          state[i]...);
  }
}

/// T, once for each number.
template <class T, std::size_t>
using At = T;

template <class Variant, class Format, class Rule, std::size_t... kState>
void sweep_chunk(const Table& table, Chunk chunk, const rule::TensorCoefficients<Rule>& k,
                 std::index_sequence<kState...>) {
  using Param = typename Format::Param::Element;
  using Grad = typename Format::Grad::Element;
  using State = typename Format::State::Element;
  const TensorEntry& tensor = table.tensors[chunk.tensor];
  const Extent part = kernels::extent(table, chunk);
  const auto run = k.around.is_plain() ? &sweep_run<Variant, Format, true, Rule, At<State, kState>...>
                                       : &sweep_run<Variant, Format, false, Rule, At<State, kState>...>;
  run(k, static_cast<Param*>(tensor.param) + part.begin,
      static_cast<const Grad*>(table.grads[chunk.tensor]) + part.begin, part.count,
      (static_cast<State*>(tensor.states[kState]) + part.begin)...);
}

/// While the chunk is still in the cache.
template <class Codec>
void zero_chunk(const Table& table, Chunk chunk) {
  const Extent part = kernels::extent(table, chunk);
  std::memset(static_cast<typename Codec::Element*>(table.grads[chunk.tensor]) + part.begin, 0,
              static_cast<std::size_t>(part.count) * sizeof(typename Codec::Element));
}

template <class Rule, class Variant, class Format>
void sweep(const Table& table, std::int64_t first, std::int64_t last) {
  for (std::int64_t c = first; c < last; ++c) {
    const Chunk chunk = table.chunks[c];
    const auto& k = kernels::coefficients<Rule>(table)[chunk.tensor];
    if (k.active) {
      sweep_chunk<Variant, Format>(table, chunk, k, std::make_index_sequence<kStateCount<Variant>>{});
    }
    if (k.zero_grad) zero_chunk<typename Format::Grad>(table, chunk);
  }
}

template <class Rule, class Variants = typename Rule::Variants>
struct Sweeps;

template <class Rule, class... Variant>
struct Sweeps<Rule, VariantList<Variant...>> {
  static constexpr Sweep kAll[] = {&sweep<Rule, Variant, storage::Float32Format>...};
};

}  // namespace
}  // namespace onepass::cpu
