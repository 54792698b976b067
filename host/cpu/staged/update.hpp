// update.hpp - the staged update of consecutive chunks: for each stage, a leaf decodes the streams into
// buffers in the first cache, the rule moves them there, and a leaf encodes them. It serves every rule in
// every format. Compiled once for each instruction set, and not for a rule.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/codecs/drawn_halves.hpp"
#include "host/cpu/loops/chunk_streams.hpp"
#include "host/cpu/staged/leaves.hpp"
#include "host/cpu/staged/leaves16.hpp"
#include "host/cpu/staged/leaves8.hpp"
#include "host/cpu/staged/streams.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The beginning of a tensor's coefficients (rule::TensorCoefficients), which is the same for every rule.
struct SharedCoefficients {
  rule::TensorStep step;
  rule::Around around;
};

/// The rule's part of a chunk: its loop, and the coefficients that it takes.
struct Mover {
  RuleLoop loop;
  const void* coefficients;
};

/// Where the rule moves the streams: in the buffers, or where they lie.
struct Moved {
  float* param;
  const float* grad;
  float* states[step::kMaxStates];

  Moved(const Leaves& leaves, const StagedStreams& chunk, float* first) {
    const Room room{first, buffers_apart(leaves.stage)};
    std::byte* const own_param = leaves.bytes.remainder == 0 ? chunk.param : chunk.remainder;
    param = leaves.param_in_place ? reinterpret_cast<float*>(own_param) : room.param();
    grad = leaves.grad_in_place ? reinterpret_cast<const float*>(chunk.grad) : room.grad();
    for (int s = 0; s < chunk.state_count; ++s) {
      states[s] = leaves.states_in_place ? reinterpret_cast<float*>(chunk.states[s]) : room.state(s);
    }
  }
  /// Goes to the next stage.
  ONEPASS_LANE void advance(const Leaves& leaves, int state_count) {
    if (leaves.param_in_place) param += leaves.stage;
    if (leaves.grad_in_place) grad += leaves.stage;
    if (!leaves.states_in_place) return;
    for (int s = 0; s < state_count; ++s) states[s] += leaves.stage;
  }
};

/// Updates one block that the end of a tensor cuts short, in a copy.
__attribute__((noinline)) void update_cut_block(const Leaves& leaves, const Mover& mover,
                                                const StagedStreams& original, std::int64_t count,
                                                const std::uint16_t* halves, float* room) {
  CutBlock block(original, count, leaves.bytes);
  const StagedStreams copy = block.streams();
  const Moved moved(leaves, copy, room);
  if (leaves.unpack != nullptr) leaves.unpack(copy, 0, count, room);
  mover.loop(mover.coefficients, moved.param, moved.grad, moved.states, storage::kBlock);
  if (leaves.pack != nullptr) leaves.pack(room, copy, 0, count, halves);
  block.copy_back();
}

/// Updates `count` elements, from the start of a block on; only the last block may be cut short. `halves` has
/// Leaves::halves random halves for each block.
void update_stages(const Leaves& leaves, const Mover& mover, const StagedStreams& chunk, std::int64_t count,
                   const std::uint16_t* halves) {
  alignas(64) float room[kStreams * buffers_apart(kStage8)];
  const std::int64_t whole = count / storage::kBlock * storage::kBlock;
  Moved moved(leaves, chunk, room);
  for (std::int64_t i = 0; i < whole; i += leaves.stage) {
    const std::int64_t some = std::min(whole - i, leaves.stage);
    if (leaves.unpack != nullptr) leaves.unpack(chunk, i, some, room);
    mover.loop(mover.coefficients, moved.param, moved.grad, moved.states, some);
    if (leaves.pack != nullptr)
      leaves.pack(room, chunk, i, some, halves + i / storage::kBlock * leaves.halves);
    moved.advance(leaves, chunk.state_count);
  }
  if (whole < count) {
    update_cut_block(leaves, mover, chunk.from(whole, leaves.bytes), count - whole,
                     halves + whole / storage::kBlock * leaves.halves, room);
  }
}

/// Updates `count` elements with kHalves random halves for each block. `begin`: number of the first element
/// in the tensor.
template <int kHalves>
void update_drawing(const Leaves& leaves, const Mover& mover, const StagedStreams& streams, step::Extent part,
                    const rule::Draws& draws) {
  using Drawn = DrawnHalves<kHalves>;
  Drawn drawn;
  for (std::int64_t i = 0; i < part.count; i += Drawn::kMaxElements) {
    const std::int64_t left = part.count - i;
    drawn.draw(draws, (part.begin + i) / storage::kBlock, left, random::Purpose::rounding);
    update_stages(leaves, mover, streams.from(i, leaves.bytes), std::min(left, Drawn::kMaxElements),
                  drawn.of(0));
  }
}

/// Returns the leaves for a choice: leaves_of() of some format.
using ChooseLeaves = Leaves (*)(const LeafChoice& choice);

/// Updates one chunk.
void update_staged_chunk(const step::Table& table, step::Chunk chunk, const StagedLoops& rule,
                         ChooseLeaves choose, const SharedCoefficients& k, Stores stores) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const step::Extent part = step::extent(table, chunk);
  const Leaves leaves = choose({.has_float32_gradients = tensor.grad_type == DType::float32,
                                .rounds_stochastically = k.step.rounds_stochastically != 0,
                                .has_bf16_instruction = stores.has_bf16_instruction,
                                .states = rule.states});
  const StagedLoops::Loops& loops = leaves.states_in_place ? rule.exact : rule.lossy;
  const Mover mover{k.around.is_plain() ? loops.plain : loops.general, &k};
  const auto streams = StagedStreams::of(tensor, table.grads[chunk.tensor], part, leaves.bytes, rule, stores);
  switch (leaves.halves) {
    case 0:
      return update_stages(leaves, mover, streams, part.count, nullptr);
    case 1:
      return update_drawing<1>(leaves, mover, streams, part, k.step.draws);
    case 2:
      return update_drawing<2>(leaves, mover, streams, part, k.step.draws);
    default:
      return update_drawing<4>(leaves, mover, streams, part, k.step.draws);
  }
}

/// Updates the chunks [first, last) of the table, all of which have the format of `choose`.
void update_staged_chunks(const step::Table& table, const StagedLoops& rule, ChooseLeaves choose,
                          std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk chunk = table.chunks[c];
    const auto& k = *reinterpret_cast<const SharedCoefficients*>(
        static_cast<const char*>(table.coefficients) + chunk.tensor * table.coefficient_bytes);
    if (k.step.active) update_staged_chunk(table, chunk, rule, choose, k, stores);
    if (k.step.zero_grad) zero_chunk(table, chunk);
  }
  finish(stores.unread);
}

/// leaves_of() of each format.
template <std::size_t... kFormat>
constexpr std::array<ChooseLeaves, storage::kFormatCount> leaves_of_all(std::index_sequence<kFormat...>) {
  return {&leaves_of<storage::FormatAt<kFormat>>...};
}

}  // namespace
}  // namespace onepass::cpu
