// lookup.hpp - finds a tensor's gradient, coefficients and rule in the tables.
#pragma once

#include <cstdint>

#include "onepass/rule/element.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// Returns the elements of a piece of a reduction; `piece_size` is kReduceChunk.
ONEPASS_LANE Extent extent_of(const Table& table, Piece piece, std::int64_t piece_size) {
  const std::int64_t begin = piece.index * piece_size;
  const std::int64_t left = table.tensors[piece.tensor].numel - begin;
  return {begin, left < piece_size ? left : piece_size};
}

/// Returns the gradients that the caller's backward pass writes, one pointer per tensor.
ONEPASS_LANE void* const* callers_gradients(const Table& table) {
  return table.incoming != nullptr ? table.incoming : table.grads;
}

/// Returns the gradient whose norm is measured, or null for a tensor without one. With accumulation that is
/// the sum, and only of tensors that received a gradient since the last step: other sums are left over from
/// an earlier step.
ONEPASS_LANE void* measured_gradient(const Table& table, std::int64_t tensor) {
  if (table.incoming != nullptr && table.accumulated[tensor] == 0) return nullptr;
  return table.grads[tensor];
}
ONEPASS_LANE DType measured_type(const Table& table, const TensorEntry& tensor) {
  return table.incoming != nullptr ? tensor.grad_type : tensor.incoming_type;
}

/// Returns the table as a reduction reads it that measures the incoming gradients, and not their sums.
ONEPASS_LANE Table with_incoming_measured(Table table) {
  table.grads = table.incoming;
  table.incoming = nullptr;
  return table;
}

/// The coefficients of all tensors, as the loops of one rule read them.
template <class Coefficients>
struct CoefficientTable {
  char* first;
  std::int64_t apart;  ///< In bytes.

  [[nodiscard]] ONEPASS_LANE Coefficients& operator[](std::int64_t tensor) const {
    return *reinterpret_cast<Coefficients*>(first + tensor * apart);
  }
};

/// Returns the coefficients of the tensors; those of other types of rules must not be read.
template <class Rule>
ONEPASS_LANE CoefficientTable<rule::TensorCoefficients<rule::LoopsOf<Rule>>> coefficients(
    const Table& table) {
  return {static_cast<char*>(table.coefficients), table.coefficient_bytes};
}

/// Returns the first member of a tensor's coefficients, which is the same for every rule.
ONEPASS_LANE rule::TensorStep& step_of(const Table& table, std::int64_t tensor) {
  return *reinterpret_cast<rule::TensorStep*>(static_cast<char*>(table.coefficients) +
                                              tensor * table.coefficient_bytes);
}

/// Returns whether a step writes more than its rule does: slow weights, a moving average, or a copy.
ONEPASS_LANE bool has_followers(const TensorEntry& tensor, const rule::TensorStep& step) {
  return step.active && (tensor.has_followers() || step.slow_weight != 0.0f);
}

/// Returns whether the tensor takes part in the step, with sums that complete its coefficients.
ONEPASS_LANE bool finishes(const Table& table, std::int64_t tensor) {
  const rule::TensorStep& step = step_of(table, tensor);
  return step.active && step.takes_sums;
}

/// Returns whether a step is for a part of a round, and not for all tensors.
ONEPASS_LANE bool is_part(const Table& table) { return table.chosen != nullptr; }

/// The number of tensors that a step is for, and which they are.
ONEPASS_LANE std::int64_t stepped_count(const Table& table) {
  return is_part(table) ? table.chosen_count : table.tensor_count;
}
ONEPASS_LANE std::int64_t stepped_tensor(const Table& table, std::int64_t i) {
  return is_part(table) ? table.chosen[i] : i;
}

/// Returns whether this launch of prepare is for the tensor.
ONEPASS_LANE bool prepares(const Table& table, std::int64_t tensor) {
  return table.prepares == kEveryRule || table.tensors[tensor].rule == table.prepares;
}

/// Returns the sums that a tensor's elements add to: those over the tensor, or those over all tensors of its
/// type of rule.
ONEPASS_LANE TensorSums& sums_of(const Table& table, std::int64_t tensor, bool over_model) {
  return table.sums[over_model ? table.tensor_count + table.tensors[tensor].rule : tensor];
}

/// Returns the rule of a tensor, which must be a Rule.
template <class Rule>
ONEPASS_LANE const Rule& rule_of(const Table& table, std::int64_t tensor) {
  return *reinterpret_cast<const Rule*>(static_cast<const char*>(table.rules) +
                                        table.tensors[tensor].group * table.rule_bytes);
}

}  // namespace onepass::step
