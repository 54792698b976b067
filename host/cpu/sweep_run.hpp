// sweep_run.hpp - one chunk whose every element stands alone: the plain loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/table.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// One chunk's streams, from its first element on.
template <class FormatOf, class GradCodecOf>
struct ChunkStreams {
  using Format = FormatOf;
  using GradCodec = GradCodecOf;
  using Param = typename Format::Param;

  typename Param::Element* param;
  typename Param::Remainder* remainder;
  const typename GradCodec::Element* grad;
  void* const* states;
  std::int64_t begin;
  std::int64_t count;
  std::int64_t numel;

  static ChunkStreams of(const kernels::TensorEntry& tensor, void* grad, kernels::Extent part) {
    ChunkStreams streams{static_cast<typename Param::Element*>(tensor.param) + part.begin,
                         nullptr,
                         static_cast<const typename GradCodec::Element*>(grad) + part.begin,
                         tensor.states,
                         part.begin,
                         part.count,
                         tensor.numel};
    if constexpr (Format::kHasRemainder) {
      streams.remainder = static_cast<typename Param::Remainder*>(tensor.remainder) + part.begin;
    }
    return streams;
  }

  /// The same, from its element i on.
  [[nodiscard]] ChunkStreams from(std::int64_t i) const {
    ChunkStreams rest = *this;
    rest.param += i, rest.grad += i, rest.begin += i, rest.count -= i;
    if constexpr (Format::kHasRemainder) rest.remainder += i;
    return rest;
  }
};

/// The float32 of a parameter.
template <class Format>
inline __attribute__((always_inline)) float decode_param(const typename Format::Param::Element* param,
                                                         const typename Format::Param::Remainder* remainder,
                                                         std::int64_t i) {
  if constexpr (Format::kHasRemainder) {
    return Format::Param::decode(param[i], remainder[i]);
  } else {
    return Format::Param::decode(param[i], {});
  }
}

template <class Format>
inline __attribute__((always_inline)) void encode_param(float value, typename Format::Param::Element* param,
                                                        typename Format::Param::Remainder* remainder,
                                                        std::int64_t i) {
  typename Format::Param::Element element;
  typename Format::Param::Remainder rest;
  Format::Param::encode(value, element, rest);
  param[i] = element;
  if constexpr (Format::kHasRemainder) remainder[i] = rest;
}

/// What the rule makes of one element. The states pass through an array of constant indices, which stays in
/// registers; captured by a lambda they would be read through pointers, and the loop would not vectorise.
template <class Variant, class Format, bool kPlain, class Rule, std::size_t... kState, class... Element>
inline __attribute__((always_inline)) float move_element(const rule::TensorCoefficients<Rule>& k, float p,
                                                         float g, std::index_sequence<kState...> /*states*/,
                                                         Element&... state) {
  using State = typename Format::State;
  float value[sizeof...(state) + 1] = {State::decode(state)...};
  rule::move<Variant, Format::kHasLossyStates, kPlain>(k, p, g, value[kState]...);
  ((state = State::encode(value[kState])), ...);
  return p;
}

/// `count` elements. The coefficients are a local copy, so that no store can change them; buffers are known
/// not to overlap (checked when they are registered), which ivdep passes on. A function of its own, so that
/// what the compiler made of it can be found.
template <class Variant, class Format, class GradCodec, bool kPlain, class Rule, class... StateElement>
__attribute__((noinline)) void sweep_run(const rule::TensorCoefficients<Rule> k,
                                         typename Format::Param::Element* __restrict param,
                                         typename Format::Param::Remainder* __restrict remainder,
                                         const typename GradCodec::Element* __restrict grad,
                                         std::int64_t count, StateElement* __restrict... state) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float moved = move_element<Variant, Format, kPlain>(
        k, decode_param<Format>(param, remainder, i), GradCodec::decode(grad[i]),
        std::index_sequence_for<StateElement...>{}, state[i]...);
    encode_param<Format>(moved, param, remainder, i);
  }
}

template <class Variant, bool kPlain, class Streams, class Rule, std::size_t... kState>
void sweep_states(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                  std::index_sequence<kState...>) {
  using Format = typename Streams::Format;
  using State = typename Format::State::Element;
  sweep_run<Variant, Format, typename Streams::GradCodec, kPlain>(
      k, at.param, at.remainder, at.grad, at.count, (static_cast<State*>(at.states[kState]) + at.begin)...);
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_elements(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  sweep_states<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
