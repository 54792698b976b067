// table.hpp - the tables that a step reads, in the memory of the device that steps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/schedules/piece.hpp"
#include "onepass/tensor.hpp"
#include "step/control.hpp"

namespace onepass::step {

inline constexpr std::size_t kMaxStates = 4;

/// One tensor: where its numbers are. Element types are its format's, so pointers are untyped here. A
/// quantised state is numel codes, and from scales_at(numel) on a scale for each group.
struct TensorEntry {
  void* param;
  void* remainder;  ///< What the parameter lacks of its master; null in formats without.
  void* states[kMaxStates];
  void* ema;   ///< Moving average of the parameter; null without.
  void* copy;  ///< The caller's 16-bit copy of a float32 parameter; null without.
  std::int64_t numel;
  std::int64_t first;    ///< Offset of the first element in the logical tensor, for random bits.
  std::uint32_t number;  ///< Of the logical tensor, for random bits.
  std::uint32_t group;
  DType param_type;
  DType grad_type;      ///< As the step reads it.
  DType incoming_type;  ///< As the caller's backward pass writes it.
  std::uint8_t format;  ///< Index into storage::Formats.
  DType ema_type;
  DType copy_type;
  std::uint16_t reserved;

  /// Whether anything else is written from the parameter that a step has moved.
  [[nodiscard]] ONEPASS_LANE bool has_followers() const { return ema != nullptr || copy != nullptr; }
};
static_assert(sizeof(TensorEntry) == 96);

/// Where the scales of a quantised state begin, in bytes.
ONEPASS_LANE std::int64_t scales_at(std::int64_t numel) { return (numel + 63) / 64 * 64; }

/// One piece of work: elements [index * chunk_size, (index + 1) * chunk_size) of a tensor, cut at its end.
/// Chunks start at fixed multiples from the tensor's first element, never at an address.
struct Chunk {
  std::uint32_t tensor;
  std::uint32_t index;
};

/// The whole model. Built when parameters are registered; gradients, rules and settings are patched in place.
struct Table {
  const TensorEntry* tensors;
  void* const* grads;     ///< One a tensor; null leaves the tensor out. Apart from `tensors`: they change.
  void* const* incoming;  ///< Gradients of a micro-batch, to be accumulated into `grads`; null without.
  const Chunk* chunks;
  const Chunk* pieces;  ///< As chunks, of kReduceChunk elements.
  std::int64_t tensor_count;
  std::int64_t chunk_count;
  std::int64_t chunk_size;
  std::int64_t piece_count;
  const void* rules;                ///< Rule, one a group.
  const Penalty* penalties;         ///< One a group.
  const schedule::View* schedules;  ///< One a group; without pieces where there is none.
  std::int64_t* steps;              ///< Steps taken, one a tensor.
  std::int64_t* accumulated;  ///< Micro-batches in `grads`, one a tensor, where gradients are accumulated.
  void* coefficients;         ///< TensorCoefficients<Rule>, one a tensor.
  std::int64_t coefficient_bytes;  ///< Of each.
  Control* control;
};

/// The part of a tensor that a chunk covers.
struct Extent {
  std::int64_t begin;
  std::int64_t count;
};

}  // namespace onepass::step
