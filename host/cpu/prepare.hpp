// prepare.hpp - the CPU's part before the update: counts the step and forms each tensor's coefficients.
#pragma once

#include <cstdint>

#include "kernels/advance.hpp"
#include "kernels/table.hpp"

namespace onepass::cpu {

/// What the prepare kernel does (kernels/prepare.cuh), in one thread. Tensors of one group that have taken
/// equally many steps share their coefficients, which spares 2,000 tensors 2,000 powers.
template <class Rule>
void prepare(const kernels::Table& table) {
  const bool skip = kernels::skips(table);
  if (skip) ++*table.skipped;
  const rule::TensorCoefficients<Rule>* last = nullptr;
  std::int64_t last_tensor = 0;
  for (std::int64_t t = 0; t < table.tensor_count; ++t) {
    rule::TensorCoefficients<Rule>& k = kernels::coefficients<Rule>(table)[t];
    if (skip || table.grads[t] == nullptr) {
      k.active = false;
      continue;
    }
    const std::int64_t step = ++table.steps[t];
    if (last != nullptr && table.tensors[t].group == table.tensors[last_tensor].group &&
        step == table.steps[last_tensor]) {
      k = *last;
    } else {
      k = rule::TensorCoefficients<Rule>::prepare(kernels::rule_of<Rule>(table, t), step);
    }
    last = &k;
    last_tensor = t;
  }
}

}  // namespace onepass::cpu
