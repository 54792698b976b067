// sweep_grouped.hpp - one chunk whose states are quantised, group by group.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host/cpu/codecs/draw_run.hpp"
#include "host/cpu/codecs/group_codec.hpp"
#include "host/cpu/loops/sweep_run.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// The codec of a variant's state.
template <class Variant, std::size_t kState>
using GroupCodec = std::conditional_t<(kNonnegativeStates<Variant> >> kState & 1u) != 0,
                                      storage::Nonnegative8, storage::Signed8>;

template <class Variant, class Indices>
struct GroupedStatesOf;
template <class Variant, std::size_t... kState>
struct GroupedStatesOf<Variant, std::index_sequence<kState...>> {
  using Type = std::tuple<GroupedState<GroupCodec<Variant, kState>>...>;
};
/// All states of a variant.
template <class Variant>
using GroupedStates = typename GroupedStatesOf<Variant, std::make_index_sequence<kStateCount<Variant>>>::Type;

template <class Codec>
GroupedState<Codec> grouped(void* state, std::int64_t begin, std::int64_t numel) {
  auto* const scales =
      reinterpret_cast<std::uint16_t*>(static_cast<std::byte*>(state) + step::scales_at(numel));
  return {static_cast<typename Codec::Code*>(state) + begin, scales + begin / storage::kBlock};
}

/// The rule, on groups that lie in float32, and the staging of what it leaves: a root that both take is
/// taken once. The arrays are registers where the loads around fill them by whole vectors.
template <class Variant, bool kPlain, class Rule, std::size_t... kState, class... State>
inline __attribute__((always_inline)) void move_run(const rule::TensorCoefficients<Rule>& k,
                                                    float* __restrict p, const float* __restrict g, int count,
                                                    std::index_sequence<kState...> /*states*/,
                                                    State* __restrict... state) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) {
    float value[sizeof...(kState) + 1] = {state[i]...};
    rule::move<Variant, true, kPlain>(k, p[i], g[i], value[kState]...);
    ((state[i] = GroupCodec<Variant, kState>::stage(value[kState])), ...);
  }
}

/// Zeros for what is staged beyond `count` elements: it is nobody's, and has no part in a scale.
inline void clear_beyond(int count, float* staged) {
  const int whole = (count + storage::kBlock - 1) / storage::kBlock * storage::kBlock;
  for (int i = count; i < whole; ++i) staged[place_of(i)] = 0.0f;
  std::fill(staged + whole, staged + kStaged, 0.0f);
}

/// The parameters of whole groups, as the rule has left them. `halves`: kHalves a group, the last of them the
/// parameter's where those are rounded with random bits.
template <int kHalves, class Streams>
inline __attribute__((always_inline)) void store_moved(const rule::TensorStep& step, const float* values,
                                                       const Streams& at, int count,
                                                       [[maybe_unused]] const std::uint16_t* halves) {
  using Format = typename Streams::Format;
  if constexpr (Format::kRoundsStochastically) {
    if (step.rounds_stochastically != 0) {
      for (int i = 0; i < count; ++i) {
        const storage::Dither dither{halves[i / storage::kBlock * kHalves + kHalves - 1]};
        at.param[i] =
            Format::LowGrad::encode_stochastic(values[place_of(i)], dither.at<16>(i % storage::kBlock));
      }
      return;
    }
  }
  store_params(values, at.param, at.remainder, count, Format{});
}

/// `count` elements from the start of a group on, at most kStaged. Of a group cut short there is room for the
/// whole, and what is beyond `count` is nobody's. A function of its own, so that what the compiler made of it
/// can be found.
template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
__attribute__((noinline)) void sweep_groups(const rule::TensorCoefficients<Rule> k, const Streams at,
                                            [[maybe_unused]] const GroupedStates<Variant> states,
                                            const std::uint16_t* halves, int count,
                                            std::index_sequence<kState...> indices) {
  using Format = typename Streams::Format;
  constexpr int kHalves = rule::kBlockHalves<Format, Variant>;
  [[maybe_unused]] alignas(64) float staged[sizeof...(kState) + 1][kStaged];
  alignas(64) float p[kStaged];
  const int groups = (count + kBlock - 1) / kBlock;
  for (int first = 0; first < groups * kBlock; first += kMoved) {
    const int some = kMoved == kBlock ? kBlock : std::min(kMoved, groups * kBlock - first);
    alignas(64) float g[kMoved];
    load_params(at.param + first, Format::kHasRemainder ? at.remainder + first : nullptr, p + first, some,
                Format{});
    load_grads(at.grad + first, g, some, typename Streams::GradCodec{});
    for (int i = 0; i < some; i += kBlock) {
      (..., load_group(std::get<kState>(states).from((first + i) / kBlock), staged[kState] + first + i));
    }
    move_run<Variant, kPlain>(k, p + first, g, some, indices, (staged[kState] + first)...);
  }
  // In a pass of its own: what waits for roots and divisions would keep the next group's operations back.
  store_moved<kHalves>(k.step, p, at, groups * kBlock, halves);
  (..., clear_beyond(count, staged[kState]));
  (..., store_groups<kHalves>(staged[kState], groups, halves + kState, std::get<kState>(states)));
}

/// As sweep_groups(), for a group cut short by the tensor's end: where there is room for a whole one.
template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
void sweep_cut_group(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                     const GroupedStates<Variant>& states, const std::uint16_t* halves, int count,
                     std::index_sequence<kState...> indices) {
  using Param = typename Streams::Format::Param;
  typename Param::Element param[storage::kBlock]{};
  typename Param::Remainder remainder[storage::kBlock]{};
  typename Streams::GradCodec::Element grad[storage::kBlock]{};
  std::tuple<std::array<typename GroupCodec<Variant, kState>::Code, storage::kBlock>...> codes{};
  std::copy_n(at.param, count, param);
  if constexpr (Streams::Format::kHasRemainder) std::copy_n(at.remainder, count, remainder);
  std::copy_n(at.grad, count, grad);
  (..., std::copy_n(std::get<kState>(states).codes, count, std::get<kState>(codes).data()));
  Streams roomy = at;
  roomy.param = param, roomy.remainder = remainder, roomy.grad = grad;
  sweep_groups<Variant, kPlain>(k, roomy,
                                {{std::get<kState>(codes).data(), std::get<kState>(states).scales}...},
                                halves, count, indices);
  std::copy_n(param, count, at.param);
  if constexpr (Streams::Format::kHasRemainder) std::copy_n(remainder, count, at.remainder);
  (..., std::copy_n(std::get<kState>(codes).data(), count, std::get<kState>(states).codes));
}

template <class Variant, bool kPlain, class Rule, class Streams, std::size_t... kState>
void grouped_states(const rule::TensorCoefficients<Rule>& k, const Streams& streams,
                    std::index_sequence<kState...> indices) {
  const GroupedStates<Variant> states{
      grouped<GroupCodec<Variant, kState>>(streams.states[kState], streams.begin, streams.numel)...};
  constexpr int kHalves = rule::kBlockHalves<typename Streams::Format, Variant>;
  using Drawn = DrawnHalves<kHalves == 0 ? 4 : kHalves>;
  [[maybe_unused]] Drawn drawn;
  for (std::int64_t i = 0, count = 0; i < streams.count; i += count) {
    const std::int64_t group = i / storage::kBlock, left = streams.count - i;
    if (kHalves != 0 && i % Drawn::kRun == 0) {
      drawn.draw(k.step.draws, streams.begin / storage::kBlock + group, left, random::Purpose::rounding);
    }
    const std::uint16_t* const mine = drawn.of(group % (Drawn::kRun / storage::kBlock));
    const GroupedStates<Variant> at{std::get<kState>(states).from(group)...};
    count = left >= storage::kBlock
                ? std::min<std::int64_t>(left / storage::kBlock * storage::kBlock, kStaged)
                : left;
    if (count >= storage::kBlock) {
      sweep_groups<Variant, kPlain>(k, streams.from(i), at, mine, static_cast<int>(count), indices);
    } else {
      sweep_cut_group<Variant, kPlain>(k, streams.from(i), at, mine, static_cast<int>(count), indices);
    }
  }
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_grouped(const rule::TensorCoefficients<Rule>& k, const Streams& streams) {
  grouped_states<Variant, kPlain>(k, streams, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
