// prepare.cuh - the small kernel before the update: decides the step, counts it, forms the coefficients.
#pragma once

#include <cstdint>

#include "kernels/last_block.cuh"
#include "step/coefficients.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

inline constexpr int kPrepareThreads = 128;

/// One thread a tensor, striding. Each block decides for itself what the step does, from what no block
/// changes; the last one to finish writes down what was decided. Some hundred double-precision operations a
/// tensor where a schedule is attached, else a few; one block on a processor is all that this needs.
template <class Rule>
__global__ void __launch_bounds__(kPrepareThreads, 1) prepare(const Table table) {
  __shared__ StepPlan plan;
  if (threadIdx.x == 0) plan = plan_step(table);
  __syncthreads();
  for (std::int64_t t = static_cast<std::int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
       t < table.tensor_count; t += static_cast<std::int64_t>(gridDim.x) * kPrepareThreads) {
    if (!takes_part(table, plan, t)) {
      leave_out(table, t);
      continue;
    }
    ++table.steps[t];
    form_coefficients<Rule>(table, plan, t);
  }
  if (is_last_block(table.control->blocks_done) && threadIdx.x == 0) conclude_step(table, plan);
}

}  // namespace onepass::kernels
