// update.hpp - the staged update of consecutive chunks: for each stage, a codec decodes the streams into
// buffers in the first cache, the rule moves them there, and the codec encodes them. It serves every rule in
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
#include "host/cpu/staged/settle.hpp"
#include "host/cpu/staged/stage_codec.hpp"
#include "host/cpu/staged/stage_codec16.hpp"
#include "host/cpu/staged/stage_codec8.hpp"
#include "host/cpu/staged/streams.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The rule's part of a chunk: its loop, and the coefficients that it takes.
struct Mover {
  RuleLoop loop;
  const void* coefficients;
};

/// The numbers that the rule moves: those in the buffers, or the streams where they lie.
struct Moved {
  float* param;
  const float* grad;
  float* states[step::kMaxStates + step::kMaxAxes];  ///< And the buffers of the numbers of rows and columns.

  Moved(const StageCodec& codec, const StagedStreams& chunk, float* first) {
    const Room room{first, buffers_apart(codec.stage)};
    std::byte* const own_param = codec.bytes.remainder == 0 ? chunk.param : chunk.remainder;
    param = codec.param_in_place ? reinterpret_cast<float*>(own_param) : room.param();
    grad = codec.grad_in_place ? reinterpret_cast<const float*>(chunk.grad) : room.grad();
    for (int s = 0; s < chunk.state_count; ++s) {
      const bool in_place = (codec.states_in_place >> s & 1u) != 0;
      states[s] = in_place ? reinterpret_cast<float*>(chunk.states[s]) : room.state(s);
    }
    // A stage of float32 alone has no end, but numbers have stages.
    const Room of_numbers{first, buffers_apart(std::min(codec.stage, kStage8))};
    for (int s = 0; s < chunk.unread_states; ++s) states[chunk.state_count + s] = of_numbers.state(s);
    for (int i = 0; i < chunk.lines.count; ++i) states[first_line(chunk) + i] = of_numbers.number(i);
  }
  /// Decodes `count` elements of the chunk, from element `begin` on, into the room: what is not moved where
  /// it lies, and the numbers of rows and columns.
  ONEPASS_LANE void decode(const StageCodec& codec, const StagedStreams& chunk, std::int64_t begin,
                           std::int64_t count, float* room) const {
    if (codec.unpack != nullptr) codec.unpack(chunk, begin, count, room);
    if (chunk.lines.count != 0) fill_numbers(codec, chunk, begin, count);
  }
  __attribute__((noinline)) void fill_numbers(const StageCodec& codec, const StagedStreams& chunk,
                                              std::int64_t begin, std::int64_t count) const {
    float* const* const buffers = states + first_line(chunk);
    chunk.lines.fill(begin, count, buffers);
    for (int i = 0; i < chunk.lines.count && codec.in_pairs; ++i) pair_up(buffers[i], count);
  }
  static int first_line(const StagedStreams& chunk) { return chunk.state_count + chunk.unread_states; }
  /// Puts numbers in natural order into that of place_of().
  static void pair_up(float* numbers, std::int64_t count) {
    for (std::int64_t block = 0; block < count; block += storage::kBlock) {
      float natural[storage::kBlock];
      std::copy_n(numbers + block, storage::kBlock, natural);
      for (int i = 0; i < storage::kBlock; ++i) numbers[block + place_of(i)] = natural[i];
    }
  }
  /// Goes on by `count` elements.
  ONEPASS_LANE void advance(const StageCodec& codec, int state_count, std::int64_t count) {
    if (codec.param_in_place) param += count;
    if (codec.grad_in_place) grad += count;
    if (codec.states_in_place == 0) return;
    for (int s = 0; s < state_count; ++s) states[s] += (codec.states_in_place >> s & 1u) != 0 ? count : 0;
  }
};

/// Updates one block of which the tensor has `count` elements, in a copy.
__attribute__((noinline)) void update_cut_block(const StageCodec& codec, const Mover& mover,
                                                const StagedStreams& original, std::int64_t count,
                                                const std::uint16_t* halves, float* room) {
  CutBlock block(original, count, codec.bytes);
  const StagedStreams copy = block.streams();
  const Moved moved(codec, copy, room);
  const std::int64_t last = copy.lead + count;
  moved.decode(codec, copy, 0, last, room);
  mover.loop(mover.coefficients, moved.param, moved.grad, moved.states, storage::kBlock);
  if (codec.pack != nullptr) codec.pack(room, copy, 0, last, halves);
  block.copy_back();
}

/// Asks for the streams that a stage reads, ahead of it (fetch_ahead()).
void fetch_stage_ahead(const StageCodec& codec, const StagedStreams& chunk, std::int64_t begin,
                       std::int64_t count) {
  constexpr std::int64_t kLine = 64;
  const auto fetch = [&](const std::byte* stream, std::size_t bytes) {
    const std::byte* const from = stream + static_cast<std::size_t>(begin) * bytes;
    for (std::int64_t i = 0; i < count * static_cast<std::int64_t>(bytes); i += kLine) {
      fetch_ahead<kLine>(from + i);
    }
  };
  // The codec reads all that it decodes, whether the loop needs it or not.
  const auto reads = [&](unsigned stream) { return codec.unpack != nullptr || (chunk.reads & stream) != 0; };
  const bool reads_master_only = codec.param_in_place && codec.bytes.remainder != 0;
  if (!reads_master_only && reads(rule::kParam)) fetch(chunk.param, codec.bytes.param);
  if (reads(rule::kGrad)) fetch(chunk.grad, codec.bytes.grad);
  if (codec.bytes.remainder != 0 && reads(rule::kParam)) fetch(chunk.remainder, codec.bytes.remainder);
  for (int s = 0; s < chunk.state_count; ++s) {
    if (reads(rule::kState<0> << s)) fetch(chunk.states[s], codec.bytes.of_state(s));
  }
}

/// Updates `count` elements, from the start of a block on, unless chunk.lead says else; only the last block
/// may be cut short. `halves` has StageCodec::halves random halves for each block.
void update_stages(const StageCodec& codec, const Mover& mover, const StagedStreams& chunk,
                   std::int64_t count, const std::uint16_t* halves) {
  alignas(64) float room[kBuffers * buffers_apart(kStage8)];
  const std::int64_t whole = count / storage::kBlock * storage::kBlock;
  Moved moved(codec, chunk, room);
  const bool is_short = chunk.fetches_ahead || chunk.lines.count != 0;
  const std::int64_t stage = is_short ? std::min(codec.stage, kStage8) : codec.stage;
  for (std::int64_t i = 0; i < whole; i += stage) {
    const std::int64_t some = std::min(whole - i, stage);
    if (chunk.fetches_ahead) fetch_stage_ahead(codec, chunk, i, some);
    moved.decode(codec, chunk, i, some, room);
    mover.loop(mover.coefficients, moved.param, moved.grad, moved.states, some);
    if (codec.pack != nullptr) codec.pack(room, chunk, i, some, halves + i / storage::kBlock * codec.halves);
    moved.advance(codec, chunk.state_count, some);
  }
  if (whole < count) {
    update_cut_block(codec, mover, chunk.from(whole, codec.bytes), count - whole,
                     halves + whole / storage::kBlock * codec.halves, room);
  }
}

/// Updates a chunk with kHalves random halves for each block.
template <int kHalves>
void update_drawing(const StageCodec& codec, const Mover& mover, const StagedStreams& streams,
                    const step::Chunk& chunk, const rule::Draws& draws) {
  using Drawn = DrawnHalves<kHalves>;
  Drawn drawn;
  for (std::int64_t i = 0; i < chunk.count; i += Drawn::kMaxElements) {
    const std::int64_t left = chunk.count - i;
    drawn.draw(draws, chunk.block() + i / storage::kBlock, left, random::Purpose::rounding);
    update_stages(codec, mover, streams.from(i, codec.bytes), std::min(left, Drawn::kMaxElements),
                  drawn.of(0));
  }
}

/// Returns the codec for a choice: stage_codec_of() of some format.
using ChooseCodec = StageCodec (*)(const StageChoice& choice);

/// Returns the codec of a tensor, which must have the format of `choose`.
StageCodec codec_of(const step::TensorEntry& tensor, const StagedLoops& rule, ChooseCodec choose,
                    const SharedCoefficients& k, Stores stores) {
  return choose({.has_float32_gradients = tensor.grad_type == DType::float32,
                 .rounds_stochastically = k.step.rounds_stochastically != 0,
                 .has_bf16_instruction = stores.has_bf16_instruction,
                 .states = rule.states,
                 .float32 = rule.float32});
}

/// Updates one chunk.
void update_staged_chunk(const step::Table& table, const step::Chunk& chunk, const StagedLoops& rule,
                         ChooseCodec choose, const SharedCoefficients& k, Stores stores) {
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const StageCodec codec = codec_of(tensor, rule, choose, k, stores);
  const StagedLoops::Loops& loops = codec.states_in_place == kAllStates ? rule.exact : rule.lossy;
  const bool settles = codec.settles_in_loop && k.around.settles(rule.states != 0);
  const rule::Extras extras = settles ? rule::Extras::settle : k.around.extras();
  const Mover mover{loops[static_cast<std::size_t>(extras)], &k};
  auto streams = StagedStreams::of(tensor, table.grads[chunk.tensor], chunk, codec.bytes, rule, stores);
  streams.lines = LineNumbers::of(table, chunk, rule);
  switch (codec.halves) {
    case 0:
      return update_stages(codec, mover, streams, chunk.count, nullptr);
    case 1:
      return update_drawing<1>(codec, mover, streams, chunk, k.step.draws);
    case 2:
      return update_drawing<2>(codec, mover, streams, chunk, k.step.draws);
    case 4:
      return update_drawing<4>(codec, mover, streams, chunk, k.step.draws);
    default:
      return update_drawing<8>(codec, mover, streams, chunk, k.step.draws);
  }
}

/// Updates the chunks [first, last) of the table, all of which have the format of `choose`.
void update_staged_chunks(const step::Table& table, const StagedLoops& rule, ChooseCodec choose,
                          std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    const SharedCoefficients& k = shared_coefficients(table, chunk.tensor);
    if (k.step.active) update_staged_chunk(table, chunk, rule, choose, k, stores);
    if (k.step.zero_grad) zero_chunk(table, chunk);
  }
  finish(stores.unread);
}

/// stage_codec_of() of each format.
template <std::size_t... kFormat>
constexpr std::array<ChooseCodec, storage::kFormatCount> stage_codecs(std::index_sequence<kFormat...>) {
  return {&stage_codec_of<storage::FormatAt<kFormat>>...};
}

}  // namespace
}  // namespace onepass::cpu
