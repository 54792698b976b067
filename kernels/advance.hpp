// advance.hpp - what a step does once a tensor: count it, and form its coefficients.
#pragma once

#include <cstdint>

#include "kernels/table.hpp"
#include "onepass/rule/element.hpp"

namespace onepass::kernels {

ONEPASS_LANE Extent extent(const Table& table, Chunk chunk) {
  const std::int64_t begin = chunk.index * table.chunk_size;
  const std::int64_t left = table.tensors[chunk.tensor].numel - begin;
  return {begin, left < table.chunk_size ? left : table.chunk_size};
}

/// Whether found_inf turns this step into nothing.
ONEPASS_LANE bool skips(const Table& table) { return table.found_inf != nullptr && *table.found_inf != 0.0f; }

template <class Rule>
ONEPASS_LANE rule::TensorCoefficients<Rule>* coefficients(const Table& table) {
  return static_cast<rule::TensorCoefficients<Rule>*>(table.coefficients);
}

template <class Rule>
ONEPASS_LANE const Rule& rule_of(const Table& table, std::int64_t tensor) {
  return static_cast<const Rule*>(table.rules)[table.tensors[tensor].group];
}

}  // namespace onepass::kernels
