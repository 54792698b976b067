// streams.hpp - where the streams of a staged chunk lie, and the buffers that they are decoded into. Compiled
// once for each instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/storage/dither.hpp"
#include "onepass/storage/quantized8.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

constexpr std::size_t kStreams = 2 + step::kMaxStates;
constexpr std::size_t kBuffers = kStreams + step::kMaxAxes;

using Scale = storage::Quantized8::Scale::Element;

/// Bytes of an element of each stream of a format.
struct ElementBytes {
  std::size_t param, remainder, grad, state;
  unsigned float32 = 0;  ///< As in StagedLoops: states that have 4 bytes whatever `state` is.

  [[nodiscard]] std::size_t of_state(int s) const { return (float32 >> s & 1u) != 0 ? sizeof(float) : state; }
};

/// The numbers that the elements of a chunk have as parts of their rows and columns (rule/axes.hpp).
struct LineNumbers {
  int count;         ///< As StagedLoops::lines.
  unsigned columns;  ///< As in StagedLoops.
  const float* numbers[step::kMaxAxes];
  rule::Matrices matrices;
  std::int64_t first;  ///< The chunk's first element in the tensor.

  static LineNumbers of(const step::Table& table, const step::Chunk& chunk, const StagedLoops& rule) {
    LineNumbers lines{};
    if (rule.lines == 0) return lines;
    const step::AxisEntry& axes = table.axes[chunk.tensor];
    lines.count = rule.lines, lines.columns = rule.columns;
    for (int i = 0; i < rule.lines; ++i) lines.numbers[i] = axes.numbers[i];
    lines.matrices = axes.matrices, lines.first = chunk.first;
    return lines;
  }
  /// Writes the numbers of `some` elements, from element `begin` of the chunk on, into a buffer for each.
  void fill(std::int64_t begin, std::int64_t some, float* const* buffers) const {
    const std::int64_t row = (first + begin) / matrices.columns;
    const std::int64_t column = (first + begin) % matrices.columns;
    for (int i = 0; i < count; ++i) {
      (columns >> i & 1u) != 0 ? fill_columns(numbers[i], row, column, some, buffers[i])
                               : fill_rows(numbers[i] + row, column, some, buffers[i]);
    }
  }

 private:
  void fill_rows(const float* of_rows, std::int64_t column, std::int64_t some, float* to) const {
    for (std::int64_t left = matrices.columns - column; some > 0; left = matrices.columns, ++of_rows) {
      const std::int64_t segment = std::min(some, left);
      const float number = *of_rows;
      for (std::int64_t i = 0; i < segment; ++i) to[i] = number;
      to += segment, some -= segment;
    }
  }
  void fill_columns(const float* of_columns, std::int64_t row, std::int64_t column, std::int64_t some,
                    float* to) const {
    std::int64_t rows_left = matrices.rows - row % matrices.rows;
    of_columns += row / matrices.rows * matrices.columns;
    for (; some > 0; column = 0) {
      const std::int64_t segment = std::min(some, matrices.columns - column);
      for (std::int64_t i = 0; i < segment; ++i) to[i] = of_columns[column + i];
      to += segment, some -= segment;
      if (--rows_left > 0) continue;
      rows_left = matrices.rows, of_columns += matrices.columns;
    }
  }
};

/// The streams of a chunk, from one of its elements on. The format determines the types.
struct StagedStreams {
  std::byte* param;
  std::byte* remainder;  ///< Null if the format has no remainder.
  const std::byte* grad;
  std::byte* states[step::kMaxStates];
  Scale* scales[step::kMaxStates];  ///< The scales of states of 8 bits, one for each block.
  int state_count;
  int lead;              ///< Chunk::lead(): if it is not 0, the chunk has elements of one block alone.
  unsigned nonnegative;  ///< As in StagedLoops.
  unsigned float32;      ///< As in StagedLoops.
  Writes writes;         ///< How the parameter is stored where the update does not read it.
  bool fetches_ahead;    ///< As in Stores.
  LineNumbers lines;
  int unread_states =
      0;                 ///< States of the rule that its loop does not read, and that lie before the numbers.
  unsigned reads = ~0u;  ///< Bits of the streams that the loop reads where they lie, as in kMeasured.

  static StagedStreams of(const step::TensorEntry& tensor, const void* grad, const step::Chunk& chunk,
                          const ElementBytes& bytes, const StagedLoops& rule, Stores stores) {
    const auto begin = static_cast<std::size_t>(chunk.begin);
    StagedStreams streams{};
    streams.param = static_cast<std::byte*>(tensor.param) + begin * bytes.param;
    if (bytes.remainder != 0) {
      streams.remainder = static_cast<std::byte*>(tensor.remainder) + begin * bytes.remainder;
    }
    streams.grad = static_cast<const std::byte*>(grad) + begin * bytes.grad;
    streams.state_count = rule.states;
    streams.lead = chunk.lead();
    streams.nonnegative = rule.nonnegative;
    streams.float32 = rule.float32;
    for (int s = 0; s < rule.states; ++s) {
      streams.states[s] = static_cast<std::byte*>(tensor.states[s]) + begin * bytes.of_state(s);
      if (tensor.scales[s] == nullptr) continue;
      streams.scales[s] = static_cast<Scale*>(tensor.scales[s]) + chunk.scale;
    }
    streams.writes = writes_to(streams.param, stores.unread);
    streams.fetches_ahead = stores.fetches_ahead;
    return streams;
  }
  [[nodiscard]] bool is_nonnegative(int s) const { return (nonnegative >> s & 1u) != 0; }
  [[nodiscard]] bool is_float32(int s) const { return (float32 >> s & 1u) != 0; }
  /// The same streams from element i on, which must begin a block.
  [[nodiscard]] StagedStreams from(std::int64_t i, const ElementBytes& bytes) const {
    const auto begin = static_cast<std::size_t>(i);
    StagedStreams rest = *this;
    rest.param += begin * bytes.param, rest.grad += begin * bytes.grad, rest.lines.first += i;
    if (bytes.remainder != 0) rest.remainder += begin * bytes.remainder;
    for (int s = 0; s < state_count; ++s) {
      rest.states[s] += begin * bytes.of_state(s);
      if (scales[s] != nullptr) rest.scales[s] += begin / storage::kBlock;
    }
    return rest;
  }
};

/// A whole block in place of one of which the tensor has `count` elements, after the first
/// StagedStreams::lead: a copy, padded with zeros. The scales of states are not copied. The caller updates
/// the copy and then calls copy_back(). So neither the loops of rules nor the codecs need a loop for single
/// elements.
class CutBlock {
 public:
  CutBlock(const StagedStreams& original, std::int64_t count, const ElementBytes& bytes)
      : original_(original), bytes_(bytes), count_(static_cast<std::size_t>(count)) {
    std::memcpy(first_of(0, bytes.param), original.param, count_ * bytes.param);
    if (bytes.remainder != 0) {
      std::memcpy(first_of(1, bytes.remainder), original.remainder, count_ * bytes.remainder);
    }
    std::memcpy(first_of(2, bytes.grad), original.grad, count_ * bytes.grad);
    for (int s = 0; s < original.state_count; ++s) {
      const std::size_t size = bytes.of_state(s);
      std::memcpy(first_of(3 + s, size), original.states[s], count_ * size);
    }
  }
  [[nodiscard]] StagedStreams streams() {
    StagedStreams copy = original_;
    copy.param = room_[0], copy.grad = room_[2], copy.writes = Writes::through_cache;
    if (bytes_.remainder != 0) copy.remainder = room_[1];
    for (int s = 0; s < copy.state_count; ++s) copy.states[s] = room_[3 + s];
    return copy;
  }
  void copy_back() {
    std::memcpy(original_.param, first_of(0, bytes_.param), count_ * bytes_.param);
    if (bytes_.remainder != 0) {
      std::memcpy(original_.remainder, first_of(1, bytes_.remainder), count_ * bytes_.remainder);
    }
    for (int s = 0; s < original_.state_count; ++s) {
      const std::size_t size = bytes_.of_state(s);
      std::memcpy(original_.states[s], first_of(3 + s, size), count_ * size);
    }
  }

 private:
  /// The first element of a stream that there is.
  [[nodiscard]] std::byte* first_of(int stream, std::size_t bytes) {
    return room_[stream] + static_cast<std::size_t>(original_.lead) * bytes;
  }

  StagedStreams original_;
  ElementBytes bytes_;
  std::size_t count_;
  alignas(64) std::byte room_[1 + kStreams][storage::kBlock * sizeof(float)] = {};
};

/// Buffers in float32, `apart` elements apart: one for the parameters, one for the gradients, and one for
/// each state. A stream of float32 in natural order is moved where it lies, and its buffer is not used.
struct Room {
  float* first;
  std::int64_t apart;

  [[nodiscard]] float* param() const { return first; }
  [[nodiscard]] float* grad() const { return first + apart; }
  [[nodiscard]] float* state(std::int64_t s) const { return first + (2 + s) * apart; }
  [[nodiscard]] float* number(std::int64_t line) const {
    return first + (static_cast<std::int64_t>(kStreams) + line) * apart;
  }
};

/// Returns the distance of the buffers of stages of `stage` elements: three cache lines more than a stage,
/// so that no two buffers lie 4 KiB apart, where a load would wait for a store to the other.
constexpr std::int64_t buffers_apart(std::int64_t stage) { return stage + 48; }

}  // namespace
}  // namespace onepass::cpu
