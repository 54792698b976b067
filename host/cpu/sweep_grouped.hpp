// sweep_grouped.hpp - one chunk whose states are quantised, group by group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host/cpu/draw_run.hpp"
#include "host/cpu/sweep_run.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// The codec of a variant's state.
template <class Variant, std::size_t kState>
using GroupCodec = std::conditional_t<(kNonnegativeStates<Variant> >> kState & 1u) != 0,
                                      storage::Nonnegative8, storage::Signed8>;

/// One state of a chunk: codes, and a scale for each group.
template <class Codec>
struct GroupedState {
  typename Codec::Code* codes;
  std::uint16_t* scales;

  GroupedState(void* state, std::int64_t begin, std::int64_t numel)
      : codes(static_cast<typename Codec::Code*>(state) + begin),
        scales(reinterpret_cast<std::uint16_t*>(static_cast<std::byte*>(state) + kernels::scales_at(numel)) +
               begin / storage::kGroup) {}

  void load(float* __restrict values, std::int64_t at, int count) const {
    const float scale = storage::BFloat16::decode(scales[at / storage::kGroup]);
    const typename Codec::Code* __restrict const from = codes + at;
    for (int i = 0; i < count; ++i) values[i] = Codec::decode(from[i], scale);
  }

  void store(float* __restrict values, std::int64_t at, int count, storage::Dither dither) const {
    std::int32_t largest = 0;  // signed, and `<`: gcc leaves the other forms of a maximum scalar
    for (int i = 0; i < count; ++i) {
      values[i] = Codec::stage(values[i]);
      const auto magnitude = static_cast<std::int32_t>(storage::magnitude_of(values[i]));
      largest = largest < magnitude ? magnitude : largest;
    }
    const std::uint16_t stored = storage::group_scale(static_cast<storage::Bits>(largest));
    const float scale = storage::BFloat16::decode(stored);
    typename Codec::Code* __restrict const to = codes + at;
    for (int i = 0; i < count; ++i) to[i] = Codec::encode(values[i], scale, dither.at(i));
    scales[at / storage::kGroup] = stored;
  }
};

/// The rule, on a group that lies in float32.
template <class Variant, bool kPlain, class Rule, std::size_t... kState>
inline __attribute__((always_inline)) void move_group(const rule::TensorCoefficients<Rule>& k,
                                                      float* __restrict p, const float* __restrict g,
                                                      float (*__restrict states)[storage::kGroup], int count,
                                                      std::index_sequence<kState...>) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) rule::move<Variant, true, kPlain>(k, p[i], g[i], states[kState][i]...);
}

/// `count` elements of one group; of a whole group the compiler knows the count. `words`: the group's random
/// bits, one word for each state.
template <class Variant, bool kPlain, class Rule, class Streams, class States, std::size_t... kState>
inline __attribute__((always_inline)) void step_group(const rule::TensorCoefficients<Rule>& k,
                                                      const Streams& streams, const States& states,
                                                      const std::uint32_t* words, std::int64_t at, int count,
                                                      std::index_sequence<kState...> indices) {
  using Format = typename Streams::Format;
  float p[storage::kGroup], g[storage::kGroup], values[sizeof...(kState) + 1][storage::kGroup];
  for (int i = 0; i < count; ++i) p[i] = decode_param<Format>(streams.param + at, streams.remainder + at, i);
  for (int i = 0; i < count; ++i) g[i] = Streams::GradCodec::decode(streams.grad[at + i]);
  (..., std::get<kState>(states).load(values[kState], at, count));
  move_group<Variant, kPlain>(k, p, g, values, count, indices);
  for (int i = 0; i < count; ++i) encode_param<Format>(p[i], streams.param + at, streams.remainder + at, i);
  (..., std::get<kState>(states).store(values[kState], at, count, storage::Dither{words[kState]}));
}

template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
__attribute__((noinline)) void sweep_groups(const rule::TensorCoefficients<Rule> k, const Streams streams,
                                            std::index_sequence<kState...> indices) {
  const std::tuple<GroupedState<GroupCodec<Variant, kState>>...> states{
      {streams.states[kState], streams.begin, streams.numel}...};
  std::uint32_t words[kGroup];
  for (std::int64_t at = 0; at < streams.count; at += storage::kGroup) {
    const std::int64_t drawn = at / storage::kGroup % kGroupBlocks;
    if (sizeof...(kState) != 0 && drawn == 0) {
      draw_words(k.step.draws, k.step.draws.counter_of_group((streams.begin + at) / storage::kGroup), words);
    }
    const std::uint32_t* const mine = words + 4 * drawn;
    if (at + storage::kGroup <= streams.count) {
      step_group<Variant, kPlain>(k, streams, states, mine, at, storage::kGroup, indices);
    } else {
      step_group<Variant, false>(k, streams, states, mine, at, static_cast<int>(streams.count - at), indices);
    }
  }
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_grouped(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  sweep_groups<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
