// bits16_loop.hpp - updates one chunk of 16-bit parameters whose states have 16 or 32 bits: decodes a block
// of 32 elements to float32, moves it by the rule, and encodes it, in some formats two blocks later. Compiled
// once for each instruction set.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/drawn_halves.hpp"
#include "host/cpu/codecs/param_codec.hpp"
#include "host/cpu/loops/block_streams.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// One stream's numbers of a block, in float32 and in kOrder. Whole vectors fill and read the array, and the
/// compiler knows how many: it keeps them in registers, and the loop that reads them holds only the rule.
template <class Codec, Order kOrder>
struct LoadedBlock {
  alignas(64) float values[kBlock];

  ONEPASS_LANE explicit LoadedBlock(const typename Codec::Element* from) {
    BlockCodec<Codec, kOrder>::decode(from, values);
  }
};

/// The rule reads float32 where it lies.
template <Order kOrder>
struct LoadedBlock<storage::Float32, kOrder> {
  const float* values;

  ONEPASS_LANE explicit LoadedBlock(const float* from) : values(from) {}
};

/// The same for the parameter and its remainder.
template <class Param, Order kOrder>
struct LoadedParamBlock {
  alignas(64) float values[kBlock];

  ONEPASS_LANE LoadedParamBlock(const typename Param::Element* element,
                                const typename Param::Remainder* remainder) {
    ParamBlockCodec<Param, kOrder>::decode(element, remainder, values);
  }
};

template <class Low, Order kOrder>
struct LoadedParamBlock<storage::WithMaster<Low>, kOrder> : LoadedBlock<storage::Float32, kOrder> {
  ONEPASS_LANE LoadedParamBlock(const typename Low::Element* /*element*/, const float* master)
      : LoadedBlock<storage::Float32, kOrder>(master) {}
};

/// Returns the array that the rule writes a block of a stream to: the stream itself if that is float32, else
/// `buffer`, which is encoded later.
template <class Codec>
ONEPASS_LANE float* output_of(float* buffer, typename Codec::Element* stream) {
  if constexpr (std::is_same_v<Codec, storage::Float32>) {
    return stream;
  } else {
    return buffer;
  }
}

/// Encodes a block of a stream from `buffer`, unless the rule has written it into the stream itself.
template <class Codec, Order kOrder, class How>
ONEPASS_LANE void encode_output(const float* buffer, typename Codec::Element* to, How how) {
  if constexpr (!std::is_same_v<Codec, storage::Float32>) BlockCodec<Codec, kOrder>::encode(buffer, to, how);
}

/// Rounds all streams to nearest. How: Nearest or NearestByInstruction.
template <class How>
struct NearestRounding {
  [[nodiscard]] NearestRounding from(std::int64_t /*element*/) const { return {}; }
  [[nodiscard]] ONEPASS_LANE How param(std::int64_t /*element*/) const { return {}; }
  [[nodiscard]] ONEPASS_LANE How state(std::int64_t /*element*/, std::size_t /*state*/) const { return {}; }
};

/// Rounds with random bits: kPerBlock halves for each block, or more than it has streams (element.hpp). A
/// state takes the half of its own index, and the parameter the last one, which no state has.
template <int kPerBlock>
struct StochasticRounding {
  const std::uint16_t* halves;

  [[nodiscard]] StochasticRounding from(std::int64_t element) const {
    return {halves + element / kBlock * kPerBlock};
  }
  [[nodiscard]] ONEPASS_LANE storage::Dither param(std::int64_t element) const {
    return state(element, kPerBlock - 1);
  }
  [[nodiscard]] ONEPASS_LANE storage::Dither state(std::int64_t element, std::size_t state) const {
    return storage::Dither{halves[element / kBlock * kPerBlock + static_cast<std::int64_t>(state)]};
  }
};

/// Rounds the parameter with random bits, one half for each block, and the states to nearest.
struct ParamRounding {
  const std::uint16_t* halves;

  [[nodiscard]] ParamRounding from(std::int64_t element) const { return {halves + element / kBlock}; }
  [[nodiscard]] ONEPASS_LANE storage::Dither param(std::int64_t element) const {
    return storage::Dither{halves[element / kBlock]};
  }
  [[nodiscard]] ONEPASS_LANE Nearest state(std::int64_t /*element*/, std::size_t /*state*/) const {
    return {};
  }
};

/// True if several streams of a block are encoded, and the rule has states.
template <class Blocks, std::size_t kStates>
inline constexpr bool kHasLongEncode = kStates > 0 &&
                                       ((Blocks::Format::kHasRemainder && !Blocks::kHasMaster) ||
                                        Blocks::Format::kHasLossyStates);

/// Number of blocks by which encoding stays behind the rule. Encoding a block has to wait for the rule's
/// sums, roots and divisions. Where several streams are encoded, the instructions that wait leave the
/// processor no room to begin the next block: there, two more blocks are moved before a block is encoded.
template <class Blocks, std::size_t kStates>
inline constexpr int kDelay = kHasLongEncode<Blocks, kStates> ? 2 : 0;

/// Decodes the block that begins at element i, and applies the rule. Writes the parameters into `moved` (and
/// into their master, if they have one), and the states into `moved_states`: each points into a buffer or
/// into a float32 stream (output_of()). Element j of the arrays is the block's element j in Blocks::kOrder:
/// in Order::pairs not the j-th in memory, but the same one in all arrays. A master is addressed by j
/// directly, since a block that has one is in natural order.
template <class Variant, rule::Extras kExtras, class Blocks, class Rule, std::size_t... kState, class... To>
ONEPASS_LANE void move_block(const rule::TensorCoefficients<Rule>& k, const Blocks& blocks, std::int64_t i,
                             std::index_sequence<kState...> /*states*/, float* __restrict moved,
                             To*... moved_states) {
  using Format = typename Blocks::Format;
  using State = LoadedBlock<typename Format::State, Blocks::kOrder>;
  const LoadedParamBlock<typename Format::Param, Blocks::kOrder> param(blocks.param + i,
                                                                       blocks.remainder_from(i));
  const LoadedBlock<typename Blocks::GradCodec, Blocks::kOrder> grad(blocks.grad + i);
  [[maybe_unused]] const std::array<State, sizeof...(kState)> states{State(blocks.states[kState] + i)...};
#pragma GCC ivdep
  for (int j = 0; j < kBlock; ++j) {
    float p = param.values[j], state[sizeof...(kState) + 1] = {states[kState].values[j]...};
    rule::move<Variant, Format::kHasLossyStates, kExtras>(k, p, grad.values[j], state[kState]...);
    if constexpr (Blocks::kHasMaster) blocks.remainder[i + j] = p;
    moved[j] = p;
    ((moved_states[j] = state[kState]), ...);
  }
}

/// Encodes and stores the block at element i, as move_block() has left it. `moved` holds the states' numbers
/// and, in its last row, the parameter's.
template <class Variant, class Blocks, class Rounding, std::size_t... kState>
ONEPASS_LANE void store_block(const float (*moved)[kBlock], const Blocks blocks, std::int64_t i,
                              const Rounding rounding, std::index_sequence<kState...> /*states*/) {
  using Format = typename Blocks::Format;
  ParamBlockCodec<typename Format::Param, Blocks::kOrder>::encode(
      moved[sizeof...(kState)], blocks.param + i, blocks.remainder_from(i), rounding.param(i), blocks.writes);
  (..., encode_output<typename Format::State, Blocks::kOrder>(moved[kState], blocks.states[kState] + i,
                                                              rounding.state(i, kState)));
}

/// Updates `count` elements: whole blocks. A ring buffer holds the blocks that are moved and not yet encoded
/// (kDelay says why they wait). The coefficients and pointers are local copies, so that no store can change
/// them. The buffers do not overlap, as the optimizer checked when they were registered; ivdep tells the
/// compiler. A function of its own (noinline), so that tests/build/loop_objects_test.py finds its machine
/// code; noclone, so that a block that is cut short is updated by the same code.
template <class Variant, rule::Extras kExtras, class Blocks, class Rounding, class Rule,
          std::size_t... kState>
__attribute__((noinline, noclone)) void update_blocks16(const rule::TensorCoefficients<Rule> k,
                                                        const Blocks blocks, std::int64_t count,
                                                        const Rounding rounding,
                                                        std::index_sequence<kState...> states) {
  using Format = typename Blocks::Format;
  using State = typename Format::State;
  constexpr std::int64_t kDelayElements = kDelay<Blocks, sizeof...(kState)> * kBlock;
  // Room for the blocks that wait and the one that is moved, rounded up to a power of two so that % is cheap.
  constexpr std::size_t kRingBlocks = std::bit_ceil(std::size_t{kDelay<Blocks, sizeof...(kState)>} + 1);
  alignas(64) float ring[kRingBlocks][sizeof...(kState) + 1][kBlock];
  const auto slot = [&](std::int64_t i) { return ring[static_cast<std::size_t>(i / kBlock) % kRingBlocks]; };
  for (std::int64_t i = 0; i < count; i += kBlock) {
    blocks.fetch_block_ahead(i);
    auto* const moved = slot(i);
    move_block<Variant, kExtras>(k, blocks, i, states, moved[sizeof...(kState)],
                                 output_of<State>(moved[kState], blocks.states[kState] + i)...);
    if (i >= kDelayElements) {
      store_block<Variant>(slot(i - kDelayElements), blocks, i - kDelayElements, rounding, states);
    }
  }
  for (std::int64_t i = std::max(count - kDelayElements, std::int64_t{0}); i < count; i += kBlock) {
    store_block<Variant>(slot(i), blocks, i, rounding, states);
  }
}

/// Updates `count` elements from the start of a block on; the last block may be cut short. If `lead` is not
/// 0, they are elements of one block, and its elements before number `lead` are not among them.
template <class Variant, rule::Extras kExtras, class Streams, class Rounding, class Rule,
          std::size_t... kState>
void update_range16(const rule::TensorCoefficients<Rule>& k,
                    const BlockStreams<Streams, sizeof...(kState)>& blocks, std::int64_t count, int lead,
                    Rounding rounding, std::index_sequence<kState...> indices) {
  const std::int64_t whole = count / kBlock * kBlock;
  if (whole > 0) update_blocks16<Variant, kExtras>(k, blocks, whole, rounding, indices);
  if (whole < count) {
    PaddedBlock<Streams, sizeof...(kState)> rest(blocks.from(whole), count - whole, lead);
    update_blocks16<Variant, kExtras>(k, rest.streams(), kBlock, rounding.from(whole), indices);
    rest.copy_back();
  }
}

/// Updates one chunk and rounds to nearest. How: Nearest or NearestByInstruction.
template <class Variant, rule::Extras kExtras, class How, class Rule, class Streams>
void update_chunk_nearest(const rule::TensorCoefficients<Rule>& k, const Streams& chunk, How /*how*/) {
  constexpr std::size_t kStates = kStateCount<Variant>;
  update_range16<Variant, kExtras, Streams>(k, BlockStreams<Streams, kStates>::of(chunk), chunk.count, 0,
                                            NearestRounding<How>{}, std::make_index_sequence<kStates>{});
}

/// Updates one chunk and rounds with random bits. Rounding: StochasticRounding or ParamRounding.
template <class Variant, rule::Extras kExtras, class Rounding, class Rule, class Streams>
void update_chunk_drawing(const rule::TensorCoefficients<Rule>& k, const Streams& chunk) {
  constexpr std::size_t kStates = kStateCount<Variant>;
  const auto blocks = BlockStreams<Streams, kStates>::of(chunk);
  constexpr int kPerBlock = rule::kBlockHalves<typename Streams::Format, Variant>;
  using Drawn = DrawnHalves<kPerBlock>;
  Drawn drawn;
  for (std::int64_t i = 0; i < chunk.count; i += Drawn::kMaxElements) {
    drawn.draw(k.step.draws, chunk.block + i / kBlock, chunk.count - i, random::Purpose::rounding);
    update_range16<Variant, kExtras, Streams>(k, blocks.from(i),
                                              std::min(Drawn::kMaxElements, chunk.count - i), chunk.lead,
                                              Rounding{drawn.of(0)}, std::make_index_sequence<kStates>{});
  }
}

/// Updates one chunk and rounds as its format and its tensor say: with random bits, to nearest by the
/// processor's instruction where it has one for the format, or to nearest.
template <class Variant, rule::Extras kExtras, class Rule, class Streams>
void update_chunk_bits16(const rule::TensorCoefficients<Rule>& k, const Streams& chunk) {
  using Format = typename Streams::Format;
  if constexpr (Format::kDithersRemainder) {
    return update_chunk_drawing<Variant, kExtras, ParamRounding>(k, chunk);
  } else {
    if constexpr (Format::kRoundsStochastically) {
      using Rounding = StochasticRounding<rule::kBlockHalves<Format, Variant>>;
      if (k.step.rounds_stochastically != 0)
        return update_chunk_drawing<Variant, kExtras, Rounding>(k, chunk);
    }
    if constexpr (kHasNearestByInstruction<typename Format::Param> ||
                  kHasNearestByInstruction<typename Format::State>) {
      if (chunk.stores.has_bf16_instruction)
        return update_chunk_nearest<Variant, kExtras>(k, chunk, NearestByInstruction{});
    }
    update_chunk_nearest<Variant, kExtras>(k, chunk, Nearest{});
  }
}

}  // namespace
}  // namespace onepass::cpu
