// sweep_rounded.hpp - one chunk of 16-bit parameters without a master, rounded with random bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/cpu/draw_run.hpp"
#include "host/cpu/sweep_run.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// Elements between two draws: their noise stays in the first cache.
constexpr std::int64_t kRoundedRun = 1024;

/// 16 bits for each element: of the states, then of the parameter.
template <std::size_t kStates>
struct Noise {
  std::uint16_t of_state[kStates + 1][kRoundedRun];
  std::uint16_t of_param[kRoundedRun];
};

/// As move_element(), and rounds the states as it does the parameter where they have as few bits.
template <class Variant, class Format, bool kPlain, class Rule, std::size_t... kState, class... Element>
inline __attribute__((always_inline)) float move_rounded(const rule::TensorCoefficients<Rule>& k, float p,
                                                         float g, const Noise<sizeof...(kState)>& noise,
                                                         std::int64_t i,
                                                         std::index_sequence<kState...> /*states*/,
                                                         Element&... state) {
  using State = typename Format::State;
  float value[sizeof...(state) + 1] = {State::decode(state)...};
  rule::move<Variant, Format::kHasLossyStates, kPlain>(k, p, g, value[kState]...);
  if constexpr (Format::kHasLossyStates) {
    ((state = State::encode_stochastic(value[kState], noise.of_state[kState][i])), ...);
  } else {
    ((state = State::encode(value[kState])), ...);
  }
  return p;
}

/// As sweep_run(), with noise for each element.
template <class Variant, class Format, class GradCodec, bool kPlain, class Rule, class... StateElement>
__attribute__((noinline)) void sweep_rounded_run(const rule::TensorCoefficients<Rule> k,
                                                 typename Format::Param::Element* __restrict param,
                                                 const Noise<sizeof...(StateElement)>& __restrict noise,
                                                 const typename GradCodec::Element* __restrict grad,
                                                 std::int64_t count, StateElement* __restrict... state) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float moved = move_rounded<Variant, Format, kPlain>(
        k, Format::LowGrad::decode(param[i]), GradCodec::decode(grad[i]), noise, i,
        std::index_sequence_for<StateElement...>{}, state[i]...);
    param[i] = Format::LowGrad::encode_stochastic(moved, noise.of_param[i]);
  }
}

template <class Variant, bool kPlain, class Streams, class Rule, std::size_t... kState>
void rounded_states(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                    std::index_sequence<kState...>) {
  using Format = typename Streams::Format;
  using State = typename Format::State::Element;
  std::uint32_t words[kGroup];
  Noise<sizeof...(kState)> noise;
  for (std::int64_t i = 0; i < at.count; i += kRoundedRun) {
    const std::int64_t count = at.count - i < kRoundedRun ? at.count - i : kRoundedRun;
    if (i % kDrawnRun == 0) {
      draw_words(k.step.draws,
                 k.step.draws.counter((at.begin + i) / storage::kGroup, random::Purpose::rounding), words);
    }
    const std::uint32_t* const mine = words + i % kDrawnRun / storage::kGroup * 4;
    spread<rule::kParamWord>(mine, count, noise.of_param);
    if constexpr (Format::kHasLossyStates) (..., spread<kState>(mine, count, noise.of_state[kState]));
    sweep_rounded_run<Variant, Format, typename Streams::GradCodec, kPlain>(
        k, at.param + i, noise, at.grad + i, count,
        (static_cast<State*>(at.states[kState]) + at.begin + i)...);
  }
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_rounded(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  rounded_states<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
