// bits8_loop.hpp - updates one chunk whose states have 8 bits and a scale for each block of 32 elements.
// Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host/cpu/codecs/drawn_halves.hpp"
#include "host/cpu/codecs/scaled_block_codec.hpp"
#include "host/cpu/codecs/scaled_block_vectors.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

static_assert(kServedMultiple % kStagedBlocks == 0);

/// The codec of a variant's state.
template <class Variant, std::size_t kState>
using StateCodec = storage::Quantized8::CurveOf<(kNonnegativeStates<Variant> >> kState & 1u) != 0>;

template <class Variant, class Indices>
struct ScaledStatesOf;
template <class Variant, std::size_t... kState>
struct ScaledStatesOf<Variant, std::index_sequence<kState...>> {
  using Type = std::tuple<ScaledState<StateCodec<Variant, kState>>...>;
};
/// All states of a variant.
template <class Variant>
using ScaledStates = typename ScaledStatesOf<Variant, std::make_index_sequence<kStateCount<Variant>>>::Type;

/// A state of a tensor, from element `begin` and scale `scale` on.
template <class Codec>
ScaledState<Codec> scaled_state_at(void* codes, void* scales, std::int64_t begin, std::int64_t scale) {
  using Scale = storage::Quantized8::Scale::Element;
  return {static_cast<typename Codec::Code*>(codes) + begin, static_cast<Scale*>(scales) + scale};
}

/// Applies the rule to `count` elements in float32, and stages the new states (Codec::stage()). Both in one
/// loop: a root that the rule and the codec take is taken once. The arrays stay in registers where the loads
/// around this function fill them by whole vectors.
template <class Variant, rule::Extras kExtras, class Rule, std::size_t... kState, class... State>
inline __attribute__((always_inline)) void move_and_stage(const rule::TensorCoefficients<Rule>& k,
                                                          float* __restrict p, const float* __restrict g,
                                                          int count,
                                                          std::index_sequence<kState...> /*states*/,
                                                          State* __restrict... state) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) {
    float value[sizeof...(kState) + 1] = {state[i]...};
    rule::move<Variant, true, kExtras>(k, p[i], g[i], value[kState]...);
    ((state[i] = StateCodec<Variant, kState>::stage(value[kState])), ...);
  }
}

/// Stores the parameters of whole blocks as the rule has left them. `halves` has kPerBlock halves for each
/// block; the last of them is the parameter's, if parameters are rounded with random bits.
template <int kPerBlock, class Streams>
inline __attribute__((always_inline)) void store_moved_params([[maybe_unused]] const rule::TensorStep& step,
                                                              const float* values, const Streams& at,
                                                              int count,
                                                              [[maybe_unused]] const std::uint16_t* halves) {
  using Format = typename Streams::Format;
  if constexpr (Format::kDrawsForParam) {
    if (Format::kDithersRemainder || step.rounds_stochastically != 0) {
      return store_params_drawing(values, at.param, at.remainder, count,
                                  BlockHalvesOf{halves + kPerBlock - 1, kPerBlock}, Format{});
    }
  }
  if constexpr (!Format::kDithersRemainder) store_params(values, at.param, at.remainder, count, Format{});
}

/// Asks for the streams ahead of `count` elements, from element `first` on (fetch_ahead()). Every other block
/// asks for two, because 64 bytes hold two blocks of codes.
template <class Streams, class States, std::size_t... kState>
ONEPASS_LANE void fetch_blocks_ahead(const Streams& at, [[maybe_unused]] const States& states, int first,
                                     int count, std::index_sequence<kState...> /*states*/) {
  for (int i = (first + kBlock) / (2 * kBlock) * 2 * kBlock; i < first + count; i += 2 * kBlock) {
    fetch_ahead<2 * kBlock>(at.param + i);
    if constexpr (Streams::Format::kHasRemainder) fetch_ahead<2 * kBlock>(at.remainder + i);
    fetch_ahead<2 * kBlock>(at.grad + i);
    (..., fetch_ahead<2 * kBlock>(std::get<kState>(states).codes + i));
  }
}

/// Updates `count` elements from the start of a block on, at most kStagedElements. If the last block is cut
/// short, the streams must have room for the whole block; the numbers beyond `count` belong to no element,
/// and neither do the first `lead` numbers. A function of its own (noinline), so that
/// tests/build/loop_objects_test.py finds its machine code; noclone, so that a block that is cut short is
/// updated by the same code.
template <class Variant, rule::Extras kExtras, class Rule, class Streams, std::size_t... kState>
__attribute__((noinline, noclone)) void update_blocks8(const rule::TensorCoefficients<Rule> k,
                                                       const Streams at,
                                                       [[maybe_unused]] const ScaledStates<Variant> states,
                                                       const std::uint16_t* halves, [[maybe_unused]] int lead,
                                                       int count, std::index_sequence<kState...> indices) {
  using Format = typename Streams::Format;
  constexpr int kPerBlock = rule::kBlockHalves<Format, Variant>;
  [[maybe_unused]] alignas(64) float staged[sizeof...(kState) + 1][kStagedElements];
  alignas(64) float p[kStagedElements];
  const int blocks = (count + kBlock - 1) / kBlock;
  for (int first = 0; first < blocks * kBlock; first += kMovedAtOnce) {
    const int some = kMovedAtOnce == kBlock ? kBlock : std::min(kMovedAtOnce, blocks * kBlock - first);
    alignas(64) float g[kMovedAtOnce];
    if (at.stores.fetches_ahead) fetch_blocks_ahead(at, states, first, some, indices);
    load_params(at.param + first, Format::kHasRemainder ? at.remainder + first : nullptr, p + first, some,
                Format{});
    load_grads(at.grad + first, g, some, typename Streams::GradCodec{});
    for (int i = 0; i < some; i += kBlock) {
      (...,
       load_state_block(std::get<kState>(states).from((first + i) / kBlock), staged[kState] + first + i));
    }
    move_and_stage<Variant, kExtras>(k, p + first, g, some, indices, (staged[kState] + first)...);
  }
  // The stores have a pass of their own. They wait for roots and divisions, and would keep the processor from
  // beginning the next block.
  store_moved_params<kPerBlock>(k.step, p, at, blocks * kBlock, halves);
  (..., clear_outside(lead, count, staged[kState]));
  (..., store_state_blocks<kPerBlock>(staged[kState], blocks, halves + kState, std::get<kState>(states)));
}

/// Updates one block of which the tensor has `count` elements, from element `lead` of the block on: as
/// update_blocks8(), in a copy that has room for the whole block.
template <class Variant, rule::Extras kExtras, class Rule, class Streams, std::size_t... kState>
void update_cut_block8(const rule::TensorCoefficients<Rule>& k, const Streams& at,
                       const ScaledStates<Variant>& states, const std::uint16_t* halves, int lead, int count,
                       std::index_sequence<kState...> indices) {
  using Param = typename Streams::Format::Param;
  typename Param::Element param[storage::kBlock]{};
  typename Param::Remainder remainder[storage::kBlock]{};
  typename Streams::GradCodec::Element grad[storage::kBlock]{};
  std::tuple<std::array<typename StateCodec<Variant, kState>::Code, storage::kBlock>...> codes{};
  std::copy_n(at.param, count, param + lead);
  if constexpr (Streams::Format::kHasRemainder) std::copy_n(at.remainder, count, remainder + lead);
  std::copy_n(at.grad, count, grad + lead);
  (..., std::copy_n(std::get<kState>(states).codes, count, std::get<kState>(codes).data() + lead));
  Streams roomy = at;
  roomy.param = param, roomy.remainder = remainder, roomy.grad = grad;
  update_blocks8<Variant, kExtras>(k, roomy,
                                   {{std::get<kState>(codes).data(), std::get<kState>(states).scales}...},
                                   halves, lead, lead + count, indices);
  std::copy_n(param + lead, count, at.param);
  if constexpr (Streams::Format::kHasRemainder) std::copy_n(remainder + lead, count, at.remainder);
  (..., std::copy_n(std::get<kState>(codes).data() + lead, count, std::get<kState>(states).codes));
}

template <class Variant, rule::Extras kExtras, class Rule, class Streams, std::size_t... kState>
void update_chunk_bits8(const rule::TensorCoefficients<Rule>& k, const Streams& chunk,
                        std::index_sequence<kState...> indices) {
  const ScaledStates<Variant> states{scaled_state_at<StateCodec<Variant, kState>>(
      chunk.states[kState], chunk.scales[kState], chunk.begin, chunk.scale)...};
  constexpr int kPerBlock = rule::kBlockHalves<typename Streams::Format, Variant>;
  using Drawn = DrawnHalves<kPerBlock == 0 ? 4 : kPerBlock>;
  [[maybe_unused]] Drawn drawn;
  for (std::int64_t i = 0, count = 0; i < chunk.count; i += count) {
    const std::int64_t block = i / storage::kBlock, left = chunk.count - i;
    if (kPerBlock != 0 && i % Drawn::kMaxElements == 0) {
      drawn.draw(k.step.draws, chunk.block + block, left, random::Purpose::rounding);
    }
    const std::uint16_t* const halves = drawn.of(block % (Drawn::kMaxElements / storage::kBlock));
    const ScaledStates<Variant> at{std::get<kState>(states).from(block)...};
    count = left >= storage::kBlock
                ? std::min<std::int64_t>(left / storage::kBlock * storage::kBlock, kStagedElements)
                : left;
    if (count >= storage::kBlock) {
      update_blocks8<Variant, kExtras>(k, chunk.from(i), at, halves, 0, static_cast<int>(count), indices);
    } else {
      update_cut_block8<Variant, kExtras>(k, chunk.from(i), at, halves, chunk.lead, static_cast<int>(count),
                                          indices);
    }
  }
}

/// Updates one chunk. The codes of states are always rounded with random bits, the parameters if the tensor
/// asks for it.
template <class Variant, rule::Extras kExtras, class Rule, class Streams>
void update_chunk_bits8(const rule::TensorCoefficients<Rule>& k, const Streams& chunk) {
  update_chunk_bits8<Variant, kExtras>(k, chunk, std::make_index_sequence<kStateCount<Variant>>{});
}

}  // namespace
}  // namespace onepass::cpu
