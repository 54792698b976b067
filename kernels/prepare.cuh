// prepare.cuh - the small kernel before the update: counts the step and forms each tensor's coefficients.
#pragma once

#include <cstdint>

#include "kernels/advance.hpp"
#include "kernels/table.hpp"

namespace onepass::kernels {

inline constexpr int kPrepareThreads = 128;

/// One thread a tensor, striding. Skips the whole step where found_inf says so; leaves out tensors that have
/// no gradient. A few double-precision operations a tensor; no shared memory, no atomics.
template <class Rule>
__global__ void __launch_bounds__(kPrepareThreads) prepare(const Table table) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
  const bool skip = skips(table);
  if (skip && first == 0) ++*table.skipped;
  for (std::int64_t t = first; t < table.tensor_count;
       t += static_cast<std::int64_t>(gridDim.x) * kPrepareThreads) {
    auto& k = coefficients<Rule>(table)[t];
    if (skip || table.grads[t] == nullptr) {
      k.active = false;
    } else {
      k = rule::TensorCoefficients<Rule>::prepare(rule_of<Rule>(table, t), ++table.steps[t]);
    }
  }
}

}  // namespace onepass::kernels
