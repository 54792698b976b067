// table.hpp - the tables that a step reads, in the memory of the device that steps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/control.hpp"
#include "onepass/schedules/piece.hpp"

namespace onepass::kernels {

inline constexpr std::size_t kMaxStates = 4;

/// One tensor: where its numbers are. Element types are the format's, so pointers are untyped here.
struct TensorEntry {
  void* param;
  void* states[kMaxStates];
  std::int64_t numel;
  std::uint32_t group;
  std::uint32_t reserved;
};
static_assert(sizeof(TensorEntry) == 56);

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
  Control* control;
};

/// The part of a tensor that a chunk covers.
struct Extent {
  std::int64_t begin;
  std::int64_t count;
};

}  // namespace onepass::kernels
