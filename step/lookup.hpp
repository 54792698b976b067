// lookup.hpp - where in the tables a tensor has its gradient, its coefficients and its rule.
#pragma once

#include <cstdint>

#include "onepass/rule/element.hpp"
#include "step/table.hpp"

namespace onepass::step {

ONEPASS_LANE Extent extent_of(const Table& table, Chunk chunk, std::int64_t chunk_size) {
  const std::int64_t begin = chunk.index * chunk_size;
  const std::int64_t left = table.tensors[chunk.tensor].numel - begin;
  return {begin, left < chunk_size ? left : chunk_size};
}

ONEPASS_LANE Extent extent(const Table& table, Chunk chunk) {
  return extent_of(table, chunk, table.chunk_size);
}

/// Where the caller's backward pass writes.
ONEPASS_LANE void* const* callers_gradients(const Table& table) {
  return table.incoming != nullptr ? table.incoming : table.grads;
}

template <class Rule>
ONEPASS_LANE rule::TensorCoefficients<Rule>* coefficients(const Table& table) {
  return static_cast<rule::TensorCoefficients<Rule>*>(table.coefficients);
}

/// What lies at the beginning of a tensor's coefficients, whatever the rule.
ONEPASS_LANE rule::TensorStep& step_of(const Table& table, std::int64_t tensor) {
  return *reinterpret_cast<rule::TensorStep*>(static_cast<char*>(table.coefficients) +
                                              tensor * table.coefficient_bytes);
}

template <class Rule>
ONEPASS_LANE const Rule& rule_of(const Table& table, std::int64_t tensor) {
  return static_cast<const Rule*>(table.rules)[table.tensors[tensor].group];
}

}  // namespace onepass::step
