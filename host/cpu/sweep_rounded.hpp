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

/// As move_element(), and rounds the states as it does the parameter where they have as few bits.
template <class Variant, class Format, class Rule, std::size_t... kState, class... Element>
inline __attribute__((always_inline)) float move_rounded(const rule::TensorCoefficients<Rule>& k, float p,
                                                         float g, std::uint32_t bits,
                                                         std::index_sequence<kState...> /*states*/,
                                                         Element&... state) {
  using State = typename Format::State;
  float value[sizeof...(state) + 1] = {State::decode(state)...};
  rule::move<Variant, Format::kHasLossyStates, false>(k, p, g, value[kState]...);
  if constexpr (Format::kHasLossyStates) {
    ((state = State::encode_stochastic(value[kState], rule::bits_of_state(bits, kState))), ...);
  } else {
    ((state = State::encode(value[kState])), ...);
  }
  return p;
}

/// As sweep_run(), with 16 bits for each element.
template <class Variant, class Format, class GradCodec, class Rule, class... StateElement>
__attribute__((noinline)) void sweep_rounded_run(const rule::TensorCoefficients<Rule> k,
                                                 typename Format::Param::Element* __restrict param,
                                                 const std::uint16_t* __restrict bits,
                                                 const typename GradCodec::Element* __restrict grad,
                                                 std::int64_t count, StateElement* __restrict... state) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float moved =
        move_rounded<Variant, Format>(k, Format::LowGrad::decode(param[i]), GradCodec::decode(grad[i]),
                                      bits[i], std::index_sequence_for<StateElement...>{}, state[i]...);
    param[i] = Format::LowGrad::encode_stochastic(moved, bits[i]);
  }
}

template <class Variant, class Streams, class Rule, std::size_t... kState>
void rounded_states(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                    std::index_sequence<kState...>) {
  using Format = typename Streams::Format;
  using State = typename Format::State::Element;
  std::uint16_t bits[kRoundedRun];
  for (std::int64_t i = 0; i < at.count; i += kRoundedRun) {
    const std::int64_t count = at.count - i < kRoundedRun ? at.count - i : kRoundedRun;
    draw_run(k.step.draws, (at.begin + i) / 8, random::Purpose::rounding, bits);
    sweep_rounded_run<Variant, Format, typename Streams::GradCodec>(
        k, at.param + i, bits, at.grad + i, count,
        (static_cast<State*>(at.states[kState]) + at.begin + i)...);
  }
}

template <class Variant, class Rule, class Streams>
void sweep_rounded(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  rounded_states<Variant>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
