// table.hpp - the tables that a step reads, in the memory of the device that runs it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/axes.hpp"
#include "onepass/schedules/segment.hpp"
#include "onepass/storage/dither.hpp"
#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"
#include "step/control.hpp"

namespace onepass::step {

inline constexpr std::size_t kMaxStates = 4;
inline constexpr std::size_t kMaxScalars = 4;
inline constexpr std::size_t kMaxSums = 3;
inline constexpr std::size_t kMaxAxes = 4;

/// Addresses and types of one tensor's streams. Pointers are untyped, because the tensor's format determines
/// the element types. A quantised state consists of numel codes, and one scale per block of 32 elements
/// (Chunk::scale counts them).
/// While a backend starts the streams of new tensors, those that are null have their contents already.
struct TensorEntry {
  void* param;
  void* remainder;  ///< The rest of the parameter's master; null in formats without one.
  void* states[kMaxStates];
  void* scales[kMaxStates];      ///< Scales of quantised states; null for other states.
  void* ema;                     ///< Moving average of the parameter; null if there is none.
  void* copy;                    ///< The caller's 16-bit copy of a float32 parameter; null if there is none.
  float* slow;                   ///< Slow weights of the parameter; null if there are none.
  double* scalars[kMaxScalars];  ///< Numbers that the rule carries for the tensor; null if it has fewer.
  std::int64_t numel;
  std::uint32_t number;  ///< Number of the logical tensor, for random bits.
  std::uint32_t group;
  DType param_type;
  DType grad_type;      ///< Type of the gradient that the step reads.
  DType incoming_type;  ///< Type of the gradient that the caller's backward pass writes.
  std::uint8_t format;  ///< Index into storage::Formats.
  DType ema_type;
  DType copy_type;
  std::uint16_t rule;           ///< Number of its type of rule among those of the optimizer.
  Master master;                ///< Of the format.
  States state_storage;         ///< Of the format.
  bool rounds_stochastically;   ///< Storage::rounding
  std::uint8_t float32_states;  ///< Bit i is set if state i is float32 whatever `state_storage` says.
  std::uint8_t reserved[4];     ///< 0: rows are compared by their bytes.

  /// Returns whether each step also writes a moving average or a copy of the parameter.
  [[nodiscard]] ONEPASS_LANE bool has_followers() const { return ema != nullptr || copy != nullptr; }
};
static_assert(sizeof(TensorEntry) == 168);

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

/// Consecutive elements of a tensor.
struct Extent {
  std::int64_t begin;
  std::int64_t count;
};

/// One unit of work of the update: consecutive elements of a tensor, whatever their address, which are
/// consecutive in the logical tensor too. It begins with a block of the logical tensor, or it has elements of
/// one block alone, which do not begin it. Tensors that take no random bits and have no scales are cut as if
/// they were no shards.
struct alignas(16) Chunk {
  std::uint32_t tensor;
  std::uint32_t count;
  std::int64_t begin;  ///< Its first element in the tensor's memory.
  std::int64_t first;  ///< The same element in the logical tensor.
  std::int64_t scale;  ///< The scale of that element in each quantised state.

  [[nodiscard]] ONEPASS_LANE Extent extent() const { return {begin, count}; }
  /// Returns the number of elements of its first block that lie before it.
  [[nodiscard]] ONEPASS_LANE int lead() const { return static_cast<int>(first % storage::kBlock); }
  /// Returns the number of the logical tensor's block that it begins in.
  [[nodiscard]] ONEPASS_LANE std::int64_t block() const { return first / storage::kBlock; }
  /// Returns the number of blocks that it has elements of.
  [[nodiscard]] ONEPASS_LANE std::int64_t blocks() const {
    return (std::int64_t{count} + storage::kBlock - 1) / storage::kBlock;
  }
};
static_assert(sizeof(Chunk) == 32);

/// One unit of work of a reduction: elements [index * kReduceChunk, (index + 1) * kReduceChunk) of a tensor,
/// cut off at its end. Pieces are counted from the first element of the tensor's memory.
struct Piece {
  std::uint32_t tensor;
  std::uint32_t index;
};

/// The sums over rows and columns are taken tile by tile (step/axes.hpp): of kBand rows and kStripe columns.
inline constexpr std::int64_t kBand = 64;
inline constexpr std::int64_t kStripe = 256;
inline constexpr std::int64_t kMostStripes = 16;  ///< Of a tile.

/// The matrices of a tensor whose rule keeps numbers for rows and columns, and where these lie.
struct AxisEntry {
  rule::Matrices matrices;   ///< None for other tensors.
  float* states[kMaxAxes];   ///< In the order of the variant's kAxes.
  float* numbers[kMaxAxes];  ///< What update() gets for each row or column.
  rule::Axis along[kMaxAxes];
  std::uint8_t reserved[4];  ///< 0: entries are compared by their bytes.
  double* row_sums;          ///< Of each row of all matrices, stripe by stripe.
  double* column_sums;       ///< Of each band of all matrices, column by column.

  [[nodiscard]] ONEPASS_LANE std::int64_t stripes() const {
    return (matrices.columns + kStripe - 1) / kStripe;
  }
  /// Returns how many bands one matrix has.
  [[nodiscard]] ONEPASS_LANE std::int64_t bands() const { return (matrices.rows + kBand - 1) / kBand; }
};

/// One unit of work of the sums over rows and columns: consecutive bands of a tensor's matrices, which are
/// counted through all of them, in consecutive stripes. If there are several bands, there is one stripe.
struct AxisTile {
  std::uint32_t tensor;
  std::uint32_t bands;
  std::uint32_t stripes;
  std::uint32_t reserved;
  std::int64_t band;    ///< The first of them.
  std::int64_t stripe;  ///< Likewise.
};

/// Consecutive rows and columns of a tensor, or consecutive matrices. Rows are counted first, through all
/// matrices, and then columns.
struct AxisPart {
  std::uint32_t tensor;
  std::uint32_t count;
  std::int64_t first;
};

/// The sums over a tensor, or over the tensors of a type of rule.
struct TensorSums {
  Reduction of_terms[kMaxSums];
  std::int64_t numel;  ///< Elements that they are over; 0: those of the tensor, of which this is no shard.

  static ONEPASS_LANE TensorSums none() {
    return {{Reduction::none(), Reduction::none(), Reduction::none()}, 0};
  }
};
static_assert(kMaxSums == 3);

/// Table::prepares if all tensors have one type of rule.
inline constexpr std::uint32_t kEveryRule = ~std::uint32_t{0};

/// All tensors of an optimizer. Built when parameters are registered; the host later patches gradients, rules
/// and settings in place.
struct Table {
  const TensorEntry* tensors;
  void* const* grads;     ///< One per tensor; null leaves it out. Not in TensorEntry, because they change.
  void* const* incoming;  ///< Gradients to accumulate into `grads`; null without accumulation.
  const Chunk* chunks;
  const Piece* pieces;
  std::int64_t tensor_count;
  std::int64_t chunk_count;
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
  TensorSums* sums;        ///< Empty between two steps; null if no rule takes sums. One per tensor, then one
                           ///< per type of rule if any rule sums over the model.
  std::int64_t sum_count;  ///< Number of them.
  Reduction* group_gradients;     ///< Measures of each group's gradients, if the settings clip by group.
  double* group_norms;            ///< Norm of each group in the last step that clipped by group.
  Reduction* group_rounds;        ///< Sums of the measures of the parts of a round, one for each group.
  Reduction* tensor_gradients;    ///< Measures of each tensor's gradient, if the settings clip by parameter.
  double* tensor_norms;           ///< Norm of each tensor in the last step that clipped by parameter.
  const AxisEntry* axes;          ///< One per tensor; null if no rule keeps numbers for rows and columns.
  const AxisTile* axis_tiles;     ///< Of those that do.
  const AxisPart* axis_lines;     ///< Their rows and columns.
  const AxisPart* axis_matrices;  ///< Their matrices.
  std::int64_t axis_tile_count;
  std::int64_t axis_line_count;
  std::int64_t axis_matrix_count;
  Control* control;
  std::uint32_t
      prepares;  ///< Type of rule (TensorEntry::rule) that a launch of prepare is for, or kEveryRule.
  std::uint32_t concludes;      ///< 1: this launch of prepare is the step's last one, and counts the step.
  const std::uint32_t* chosen;  ///< The tensors that a part of a round steps; null for a step of all tensors.
                                ///< `chunks` and `pieces` are then theirs alone.
  std::int64_t chosen_count;
  std::uint32_t sweeps;  ///< 1: no step, but a sweep over the tensors that are chosen.
  std::uint32_t reserved;
};

}  // namespace onepass::step
