// prepare.cuh - the small kernel before the update: plans the step, counts it and forms the coefficients.
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

/// Returns the leader among all tensors to every thread of the thread block.
template <class Rule>
__device__ Leader elected_leader(const Table& table) {
  __shared__ double counted[kPrepareThreads];
  __shared__ std::int64_t tensor[kPrepareThreads];
  const Leader own = leader_among<Rule>(table, threadIdx.x, kPrepareThreads);
  counted[threadIdx.x] = own.counted;
  tensor[threadIdx.x] = own.tensor;
  __syncthreads();
  Leader leader;
  for (int i = 0; i < kPrepareThreads; ++i) leader.consider(counted[i], tensor[i]);
  return leader;
}

/// Prepares the tensors of one type of rule. Each thread prepares one tensor at a time, striding over the
/// tensors; any grid size works. Each thread block plans the step itself, from memory that no thread block
/// changes before the last one to finish records the result. A tensor takes some hundred double-precision
/// operations if its group has a schedule, else a few, so one thread block per multiprocessor is enough.
template <class Rule>
__global__ void __launch_bounds__(kPrepareThreads, 1) prepare(const Table table) {
  __shared__ StepPlan plan;
  if (threadIdx.x == 0) plan = plan_step(table);
  Leader leader;
  if constexpr (kSumsOverModel<Rule>) leader = elected_leader<Rule>(table);
  __syncthreads();
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
       i < stepped_count(table); i += static_cast<std::int64_t>(gridDim.x) * kPrepareThreads) {
    const std::int64_t t = stepped_tensor(table, i);
    if (!prepares(table, t)) continue;
    take_norm(table, plan, t);
    if constexpr (rule::SweepsOf<Rule>::kCount != 0) {
      if (table.sweeps != 0) {
        prepare_sweep<Rule>(table, plan, t);
        continue;
      }
    }
    if (!takes_part(table, plan, t) || !count_step(table, t)) {
      leave_out(table, t);
      continue;
    }
    form_coefficients<Rule>(table, plan, t, kSumsOverModel<Rule> ? leader.tensor : t);
  }
  if (table.concludes != 0 && is_last_block(table.control->blocks_done)) {
    conclude_groups(table, plan, threadIdx.x, kPrepareThreads);
    if (threadIdx.x == 0) conclude_step(table, plan);
  }
}

/// Completes the coefficients of tensors that take part in the step with the sums over them. Threads as
/// above.
template <class Rule>
__global__ void __launch_bounds__(kPrepareThreads, 1) finish(const Table table) {
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
       i < stepped_count(table); i += static_cast<std::int64_t>(gridDim.x) * kPrepareThreads) {
    const std::int64_t t = stepped_tensor(table, i);
    if (prepares(table, t) && finishes(table, t)) step::finish<Rule>(table, t);
  }
  if constexpr (kSumsOverModel<Rule>) {
    if (is_last_block(table.control->blocks_done) && threadIdx.x == 0) forget_model_sums<Rule>(table);
  }
}

}  // namespace onepass::kernels
