#include "kernels/shared/schedule_kernels.hpp"

#include "kernels/launch.cuh"
#include "onepass/schedules/evaluate.hpp"

namespace onepass::test {
namespace {

constexpr int kThreads = 128;
constexpr int kMostBlocks = 1 << 16;

__global__ void evaluate_kernel(const schedule::View view, const double base_lr,
                                const std::int64_t* const steps, Rates* const rates, const int count) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < count) rates[i] = schedule::evaluate(view, base_lr, steps[i]);
}

__global__ void math_kernel(const double* const x, const double* const y, MathResults* const results,
                            const int count) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < count) results[i] = MathResults::at(x[i], y[i]);
}

kernels::LaunchConfig one_thread_each(int count) {
  return {kernels::blocks_for((count + kThreads - 1) / kThreads, kMostBlocks), kThreads, nullptr};
}

}  // namespace

void evaluate_on_device(const schedule::View& view, double base_lr, const std::int64_t* steps, Rates* rates,
                        int count) {
  kernels::launch(evaluate_kernel, one_thread_each(count), view, base_lr, steps, rates, count);
}

void math_on_device(const double* x, const double* y, MathResults* results, int count) {
  kernels::launch(math_kernel, one_thread_each(count), x, y, results, count);
}

}  // namespace onepass::test
