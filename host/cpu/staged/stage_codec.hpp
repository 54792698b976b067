// stage_codec.hpp - the codecs of a staged update: functions that decode all streams of a stage, a few blocks
// of a chunk, into float32, and encode them again. They do not depend on the rule. Compiled once for each
// instruction set.
#pragma once

#include <cstdint>

#include "host/cpu/staged/streams.hpp"
#include "onepass/storage/formats.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Decodes `count` elements into the buffers, from element `begin` of a chunk on.
using Unpack = void (*)(const StagedStreams& chunk, std::int64_t begin, std::int64_t count, float* room);
/// Encodes `count` elements from the buffers, which it may change. `halves` has StageCodec::halves random
/// halves for each block, first those of the states; the last one is the parameter's.
using Pack = void (*)(float* room, const StagedStreams& chunk, std::int64_t begin, std::int64_t count,
                      const std::uint16_t* halves);

/// Decodes and encodes the stages of a chunk. Chosen once for each chunk.
struct StageCodec {
  Unpack unpack;       ///< Null if all that the rule reads is float32 and moved where it lies.
  Pack pack;           ///< Null if all streams are.
  std::int64_t stage;  ///< Most elements of a call.
  int halves;          ///< Random halves that a block takes: 0, 1, 2, 4 or 8.
  ElementBytes bytes;
  bool param_in_place;  ///< The rule moves the float32 parameter, or its float32 master, where it lies.
  bool grad_in_place;
  unsigned states_in_place;  ///< Bit i is set if the rule moves state i where it lies.
  bool in_pairs = false;     ///< The buffers are in Order::pairs: place_of() says where an element is.
  bool settles_in_loop =
      false;  ///< States have 8 bits, or a remainder beside them; others have settled before.
};

/// StageCodec::states_in_place of the formats whose states are all float32.
constexpr unsigned kAllStates = ~0u;

/// The properties of a tensor's step that decide on its codec, besides its format.
struct StageChoice {
  bool has_float32_gradients;
  bool rounds_stochastically;
  bool has_bf16_instruction;  ///< As in Stores.
  int states;
  unsigned float32;  ///< As in StagedLoops.
};

/// The elements of a stage that has several streams of 16 bits: with AVX2 and AVX-512 about as many as the
/// processor has in flight at once, so that the roots of one stage overlap with the codecs of the next.
constexpr std::int64_t kStage = 128;

/// The elements of a stage of float32: all that there are.
constexpr std::int64_t kWhole = std::int64_t{1} << 40;

/// The codec of float32, which converts nothing.
template <class Format>
requires(Format::kAllFloat32) StageCodec stage_codec_of(const StageChoice& /*choice*/) {
  return {.unpack = nullptr,
          .pack = nullptr,
          .stage = kWhole,
          .halves = 0,
          .bytes = {sizeof(float), 0, sizeof(float), sizeof(float)},
          .param_in_place = true,
          .grad_in_place = true,
          .states_in_place = kAllStates};
}

}  // namespace
}  // namespace onepass::cpu
