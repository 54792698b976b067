// sweep_run.hpp - one chunk of float32: the plain loop. And what every loop over a chunk shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

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
  Stores stores;

  static ChunkStreams of(const step::TensorEntry& tensor, void* grad, step::Extent part, Stores stores) {
    ChunkStreams streams{static_cast<typename Param::Element*>(tensor.param) + part.begin,
                         nullptr,
                         static_cast<const typename GradCodec::Element*>(grad) + part.begin,
                         tensor.states,
                         part.begin,
                         part.count,
                         tensor.numel,
                         stores};
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

/// `count` elements, all in float32. The coefficients are a local copy, so that no store can change them;
/// buffers are known not to overlap (checked when they are registered), which ivdep passes on. A function of
/// its own, so that what the compiler made of it can be found.
template <class Variant, bool kPlain, class Rule, std::size_t... kState, class... State>
__attribute__((noinline)) void sweep_run(const rule::TensorCoefficients<Rule> k, float* __restrict param,
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
void sweep_states(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                  std::index_sequence<kState...> indices) {
  sweep_run<Variant, kPlain>(k, at.param, at.grad, at.count, indices,
                             (static_cast<float*>(at.states[kState]) + at.begin)...);
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_elements(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  sweep_states<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
