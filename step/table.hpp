// table.hpp - the tables that a step reads, in the memory of the device that runs it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/schedules/segment.hpp"
#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"
#include "step/control.hpp"

namespace onepass::step {

inline constexpr std::size_t kMaxStates = 4;

/// Addresses and types of one tensor's streams. Pointers are untyped, because the tensor's format determines
/// the element types. A quantised state consists of numel codes, and one scale per block of 32 elements.
/// While a backend starts the streams of new tensors, those that are null have their contents already.
struct TensorEntry {
  void* param;
  void* remainder;  ///< The rest of the parameter's master; null in formats without one.
  void* states[kMaxStates];
  void* scales[kMaxStates];  ///< Scales of quantised states, bfloat16; null in other formats.
  void* ema;                 ///< Moving average of the parameter; null if there is none.
  void* copy;                ///< The caller's 16-bit copy of a float32 parameter; null if there is none.
  std::int64_t numel;
  std::int64_t first;    ///< Offset of the first element in the logical tensor, for random bits.
  std::uint32_t number;  ///< Number of the logical tensor, for random bits.
  std::uint32_t group;
  DType param_type;
  DType grad_type;      ///< Type of the gradient that the step reads.
  DType incoming_type;  ///< Type of the gradient that the caller's backward pass writes.
  std::uint8_t format;  ///< Index into storage::Formats.
  DType ema_type;
  DType copy_type;
  std::uint16_t rule;          ///< Number of its type of rule among those of the optimizer.
  Master master;               ///< Of the format.
  States state_storage;        ///< Of the format.
  bool rounds_stochastically;  ///< Storage::rounding
  std::uint8_t reserved[5];    ///< 0: rows are compared by their bytes.

  /// Returns whether the step also writes a moving average or a copy of the parameter.
  [[nodiscard]] ONEPASS_LANE bool has_followers() const { return ema != nullptr || copy != nullptr; }
};
static_assert(sizeof(TensorEntry) == 136);

/// Returns the offset of a quantised state's scales, in bytes, where codes and scales lie in one stretch of
/// memory: in state dicts, and in the optimizer's own memory.
constexpr std::int64_t scales_at(std::int64_t numel) { return (numel + 63) / 64 * 64; }

/// A step counter in the caller's memory: a float32, or an int64.
struct Counter {
  void* at;  ///< Null for a tensor that Table::steps alone counts.
  std::uint64_t is_int64;
};

/// A float32 counter holds no larger count: 2^24 + 1 is no float32.
inline constexpr std::int64_t kMostFloat32Steps = std::int64_t{1} << 24;

/// One unit of work: elements [index * chunk_size, (index + 1) * chunk_size) of a tensor, cut off at its end.
/// Chunks are counted from the tensor's first element, whatever its address.
struct Chunk {
  std::uint32_t tensor;
  std::uint32_t index;
};

/// Table::prepares if all tensors have one type of rule.
inline constexpr std::uint32_t kEveryRule = ~std::uint32_t{0};

/// All tensors of an optimizer. Built when parameters are registered; the host later patches gradients, rules
/// and settings in place.
struct Table {
  const TensorEntry* tensors;
  void* const* grads;     ///< One per tensor; null leaves it out. Not in TensorEntry, because they change.
  void* const* incoming;  ///< Gradients to accumulate into `grads`; null without accumulation.
  const Chunk* chunks;
  const Chunk* pieces;  ///< Like chunks, but of kReduceChunk elements.
  std::int64_t tensor_count;
  std::int64_t chunk_count;
  std::int64_t chunk_size;
  std::int64_t piece_count;
  const void* rules;                ///< The rule of each group, `rule_bytes` apart.
  std::int64_t rule_bytes;          ///< Room for the largest rule.
  const Penalty* penalties;         ///< One per group.
  const schedule::View* schedules;  ///< One per group; empty for a group without a schedule.
  std::int64_t* steps;  ///< Number of steps taken, one per tensor. Where the caller has a counter, prepare
                        ///< takes the number from there.
  const Counter* counters;         ///< One per tensor; null if the caller has none.
  std::int64_t* accumulated;       ///< Number of micro-batches summed in `grads`, one per tensor.
  void* coefficients;              ///< The TensorCoefficients of each tensor, `coefficient_bytes` apart.
  std::int64_t coefficient_bytes;  ///< Room for the largest of them.
  std::int64_t group_count;
  Reduction* group_gradients;  ///< Measures of each group's gradients, if the settings clip by group.
  double* group_norms;         ///< Norm of each group in the last step that clipped by group.
  Reduction* group_rounds;     ///< Sums of the measures of the parts of a round, one for each group.
  Control* control;
  std::uint32_t
      prepares;  ///< Type of rule (TensorEntry::rule) that a launch of prepare is for, or kEveryRule.
  std::uint32_t concludes;      ///< 1: this launch of prepare is the step's last one, and counts the step.
  const std::uint32_t* chosen;  ///< The tensors that a part of a round steps; null for a step of all tensors.
                                ///< `chunks` and `pieces` are then theirs alone.
  std::int64_t chosen_count;
};

/// The part of a tensor that a chunk covers.
struct Extent {
  std::int64_t begin;
  std::int64_t count;
};

}  // namespace onepass::step
