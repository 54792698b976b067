// cpu_rule.hpp - the seam between the host and the CPU loops of a rule. It includes neither the storage
// formats nor the tables, so that a rule without fused loops is compiled without them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "onepass/cpu.hpp"

namespace onepass::step {
struct Table;
}

namespace onepass::cpu {

struct Stores;

/// Updates the chunks [first, last) of the table, in the calling thread. All must have the format that the
/// loop is for.
using UpdateLoop = void (*)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);

/// Applies a rule to `count` elements in float32, in place. `coefficients` points at the
/// rule::TensorCoefficients of the rule, `states` at a pointer for each state. `count` must be a multiple of
/// storage::kBlock, and the streams must not overlap.
using RuleLoop = void (*)(const void* coefficients, float* param, const float* grad, float* const* states,
                          std::int64_t count);

/// Computes the terms that `count` elements add to the sums over their tensor (rule/sums.hpp). Term number t
/// of element i goes to terms[t * apart + i]. Otherwise as above.
using TermLoop = void (*)(const void* coefficients, const float* param, const float* grad,
                          float* const* states, std::int64_t count, float* terms, std::int64_t apart);

/// The pass of a rule that averages over rows and columns.
struct AxisLoop {
  TermLoop terms;     ///< One term for each element; null if there is no such pass.
  unsigned reads;     ///< The streams that it reads, as StagedLoops::measured.
  bool sums_columns;  ///< And not rows alone.
};

/// The part of a staged update that depends on the rule: one variant's loops over float32. The loops of
/// host/cpu/staged/ decode a format into float32 and encode it again.
struct StagedLoops {
  /// A loop for each rule::Extras: with the operations of that, or more. Only states of 8 bits settle in a
  /// loop, so `exact` has no such loop.
  using Loops = std::array<RuleLoop, 4>;
  Loops exact;           ///< For states of 32 bits.
  Loops lossy;           ///< For states of fewer bits.
  TermLoop exact_terms;  ///< Null if the rule takes no sums over tensors.
  TermLoop lossy_terms;  ///< For states of fewer bits.
  unsigned measured;     ///< The streams that the terms read (rule/sums.hpp).
  int sums;              ///< Number of sums.
  bool magnitudes;       ///< The sums are of magnitudes, not of squares.
  bool over_model;       ///< The sums run over all tensors of the rule.
  int states;            ///< Number of states.
  unsigned nonnegative;  ///< Bit i is set if state i is never negative.
  unsigned float32;      ///< Bit i is set if state i is float32 in every format.
  /// Number of lines (rows, columns) of which each element gets a number. Loops get these numbers as further
  /// states, which they only read.
  int lines;
  unsigned columns;                     ///< Bit i is set if number i is that of a column, and not of a row.
  std::array<AxisLoop, 2> axis_passes;  ///< By pass (rule/axes.hpp).
};

/// The loops of one variant for one instruction set.
struct VariantLoops {
  /// A loop for each of storage::Formats, or null: a format without a fused loop is staged. Null if all are.
  const UpdateLoop* fused;
  StagedLoops staged;

  /// Returns the fused loop for a format, or null.
  [[nodiscard]] UpdateLoop fused_for(std::size_t format) const {
    return fused == nullptr ? nullptr : fused[format];
  }
};

/// The loops of a rule for one instruction set: an array in the order of Rule::Variants. Its definitions are
/// in generated files, one for each rule and instruction set: onepass_add_rule() (cmake/OnepassRule.cmake)
/// makes them from host/cpu/loops/update.cpp.in or host/cpu/staged/rule.cpp.in.
template <class Rule, Isa kIsa>
const VariantLoops* update_loops();

}  // namespace onepass::cpu
