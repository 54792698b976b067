// sweep_grouped.hpp - one chunk whose states are quantised, group by group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host/cpu/draw_run.hpp"
#include "host/cpu/group_codec.hpp"
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

  void load(float* values, std::int64_t at, int count) const {
    const float scale = storage::BFloat16::decode(scales[at / storage::kGroup]);
    count == storage::kGroup ? decode_group<Codec>(codes + at, scale, values)
                             : decode_some<Codec>(codes + at, scale, values, count);
  }

  /// Of staged values.
  void store(const float* values, std::int64_t at, int count, storage::Dither dither) const {
    scales[at / storage::kGroup] = count == storage::kGroup
                                       ? encode_group<Codec>(values, dither, codes + at)
                                       : encode_some<Codec>(values, dither, codes + at, count);
  }
};

/// Elements that are in float32 at a time: what is stored in half vectors is long there when whole ones read
/// it, where a group at a time waits for each.
constexpr int kStagedGroups = 8;
constexpr int kStaged = kStagedGroups * storage::kGroup;

/// The rule, on groups that lie in float32, and the staging of what it leaves: a root that both take is taken
/// once.
template <class Variant, bool kPlain, class Rule, std::size_t... kState>
inline __attribute__((always_inline)) void move_groups(const rule::TensorCoefficients<Rule>& k,
                                                       float* __restrict p, const float* __restrict g,
                                                       float (*__restrict states)[kStaged], int count,
                                                       std::index_sequence<kState...>) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) {
    float value[sizeof...(kState) + 1] = {states[kState][i]...};
    rule::move<Variant, true, kPlain>(k, p[i], g[i], value[kState]...);
    ((states[kState][i] = GroupCodec<Variant, kState>::stage(value[kState])), ...);
  }
}

/// Calls work(first, count) for each group of `count` elements; the last may be cut short.
template <class Work>
inline __attribute__((always_inline)) void each_group(int count, const Work& work) {
  int first = 0;
  for (; first + storage::kGroup <= count; first += storage::kGroup) work(first, storage::kGroup);
  if (first < count) work(first, count - first);
}

/// `count` elements from the start of a group on; of kStaged of them the compiler knows the count. `words`:
/// the groups' random bits, four words a group, one for each state.
template <class Variant, bool kPlain, class Rule, class Streams, class States, std::size_t... kState>
inline __attribute__((always_inline)) void step_groups(const rule::TensorCoefficients<Rule>& k,
                                                       const Streams& streams, const States& states,
                                                       const std::uint32_t* words, std::int64_t at, int count,
                                                       std::index_sequence<kState...> indices) {
  using Format = typename Streams::Format;
  alignas(64) float p[kStaged], g[kStaged], values[sizeof...(kState) + 1][kStaged];
  for (int i = 0; i < count; ++i) p[i] = decode_param<Format>(streams.param + at, streams.remainder + at, i);
  for (int i = 0; i < count; ++i) g[i] = Streams::GradCodec::decode(streams.grad[at + i]);
  each_group(
      count, [&](int first, [[maybe_unused]] int some) __attribute__((always_inline)) {
        (..., std::get<kState>(states).load(values[kState] + first, at + first, some));
      });
  move_groups<Variant, kPlain>(k, p, g, values, count, indices);
  for (int i = 0; i < count; ++i) encode_param<Format>(p[i], streams.param + at, streams.remainder + at, i);
  each_group(
      count, [&](int first, [[maybe_unused]] int some) __attribute__((always_inline)) {
        [[maybe_unused]] const std::uint32_t* const mine = words + 4 * (first / storage::kGroup);
        (..., std::get<kState>(states).store(values[kState] + first, at + first, some,
                                             storage::Dither{mine[kState]}));
      });
}

template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
__attribute__((noinline)) void sweep_groups(const rule::TensorCoefficients<Rule> k, const Streams streams,
                                            std::index_sequence<kState...> indices) {
  const std::tuple<GroupedState<GroupCodec<Variant, kState>>...> states{
      {streams.states[kState], streams.begin, streams.numel}...};
  std::uint32_t words[kGroup];
  for (std::int64_t at = 0; at < streams.count; at += kStaged) {
    const std::int64_t drawn = at / storage::kGroup % kGroupBlocks;
    if (sizeof...(kState) != 0 && drawn == 0) {
      draw_words(k.step.draws,
                 k.step.draws.counter((streams.begin + at) / storage::kGroup, random::Purpose::rounding),
                 words);
    }
    const std::uint32_t* const mine = words + 4 * drawn;
    if (at + kStaged <= streams.count) {
      step_groups<Variant, kPlain>(k, streams, states, mine, at, kStaged, indices);
    } else {
      step_groups<Variant, false>(k, streams, states, mine, at, static_cast<int>(streams.count - at),
                                  indices);
    }
  }
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_grouped(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  sweep_groups<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
