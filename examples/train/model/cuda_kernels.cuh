// cuda_kernels.cuh - kernels for the network's operations on the GPU, except matrix products.
#pragma once

#include <cstdint>

#include "model/backend.hpp"
#include "onepass/storage/bfloat16.hpp"

namespace train::kernels {

constexpr int kThreads = 256;  // of a thread block
constexpr int kWarp = 32;
constexpr int kManyThreads = 1024;  // of a thread block that adds many numbers, in a fixed order
constexpr unsigned kWholeWarp = 0xffffffffu;

/// Labelled images and the order in which to take them.
struct Gathered {
  const std::uint8_t* pixels;
  const std::uint8_t* classes;
  const std::int32_t* order;
  Normalisation normalisation;
};

/// Grid: one thread block for each row of x. No shared memory.
__global__ void __launch_bounds__(kThreads) gather(Gathered from, Matrix x, std::uint8_t* labels) {
  const std::int64_t row = blockIdx.x;
  const std::int64_t image = from.order[row];
  for (std::int64_t i = threadIdx.x; i < x.columns; i += kThreads) {
    const auto pixel = static_cast<float>(from.pixels[image * x.columns + i]);
    x.data[row * x.columns + i] = from.normalisation.scale * pixel + from.normalisation.shift;
  }
  if (threadIdx.x == 0) labels[row] = from.classes[image];
}

/// Grid: one thread for each element. No shared memory.
template <Activation kActivation>
__global__ void __launch_bounds__(kThreads) add_bias(Matrix y, const float* bias) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= y.rows * y.columns) return;
  y.data[i] = activation::forward<kActivation>(y.data[i] + bias[i % y.columns]);
}

/// Grid: one thread for each element. No shared memory.
template <Activation kActivation>
__global__ void __launch_bounds__(kThreads) activation_backward(Matrix delta, const float* output) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= delta.rows * delta.columns) return;
  delta.data[i] = activation::backward<kActivation>(delta.data[i], output[i]);
}

/// Grid: one thread block for each 32 columns. Warp w adds rows w, w + 32, ...; then the first warp adds the
/// 32 sums in order. The kernel uses no atomics, so the order of the additions is fixed.
__global__ void __launch_bounds__(kManyThreads) column_sums(Matrix matrix, float* sums) {
  constexpr int kRowsAtOnce = kManyThreads / kWarp;
  __shared__ float partial[kRowsAtOnce][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  float sum = 0.0f;
  if (column < matrix.columns) {
    for (std::int64_t row = warp; row < matrix.rows; row += kRowsAtOnce) {
      sum += matrix.data[row * matrix.columns + column];
    }
  }
  partial[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= matrix.columns) return;
  for (int other = 1; other < kRowsAtOnce; ++other) sum += partial[other][lane];
  sums[column] = sum;
}

__device__ __forceinline__ float warp_max(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, distance));
  }
  return value;
}

__device__ __forceinline__ float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kWholeWarp, value, distance);
  }
  return value;
}

/// Grid: one warp for each row; its lanes lie along the row, and only whole warps return early. No shared
/// memory. fmaxf ignores a NaN among the logits, but the NaN reaches the loss through the sum.
__global__ void __launch_bounds__(kThreads)
    softmax_cross_entropy(Matrix logits, const std::uint8_t* labels, float divisor, float* row_loss) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
  if (row >= logits.rows) return;
  float* z = logits.data + row * logits.columns;
  const int label = labels[row];

  float largest = -INFINITY;
  for (std::int64_t i = lane; i < logits.columns; i += kWarp) largest = fmaxf(largest, z[i]);
  largest = warp_max(largest);
  const float label_logit = z[label];
  __syncwarp(kWholeWarp);  // every lane must read the label's logit before a lane overwrites it

  float sum = 0.0f;
  for (std::int64_t i = lane; i < logits.columns; i += kWarp) sum += z[i] = expf(z[i] - largest);
  sum = warp_sum(sum);
  for (std::int64_t i = lane; i < logits.columns; i += kWarp) {
    z[i] = (z[i] / sum - (i == label ? 1.0f : 0.0f)) / divisor;
  }
  if (lane == 0) row_loss[row] = logf(sum) - (label_logit - largest);
}

/// Grid: one thread for each element. No shared memory.
__global__ void __launch_bounds__(kThreads)
    widen(const std::uint16_t* stored, std::int64_t count, float* wide) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) wide[i] = onepass::storage::BFloat16::decode(stored[i]);
}

/// Grid: one thread for each element. No shared memory.
__global__ void __launch_bounds__(kThreads)
    narrow(const float* wide, std::int64_t count, std::uint16_t* stored) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) stored[i] = onepass::storage::BFloat16::encode(wide[i]);
}

/// Returns the sum of all threads' values in thread 0. All kManyThreads threads of the block must call it.
template <class T>
__device__ __forceinline__ T thread_block_sum(T value) {
  __shared__ T partial[kManyThreads];
  partial[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = kManyThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  return partial[0];
}

/// Grid: one thread block.
__global__ void __launch_bounds__(kManyThreads) mean(const float* values, std::int64_t count, double* mean) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < count; i += kManyThreads) sum += values[i];
  sum = thread_block_sum(sum);
  if (threadIdx.x == 0) *mean = sum / static_cast<double>(count);
}

/// Grid: one thread block. Each thread handles whole rows.
__global__ void __launch_bounds__(kManyThreads)
    count_correct(Matrix logits, const std::uint8_t* labels, std::int64_t* correct) {
  std::int64_t found = 0;
  for (std::int64_t row = threadIdx.x; row < logits.rows; row += kManyThreads) {
    const float* z = logits.data + row * logits.columns;
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < logits.columns; ++i) {
      if (z[i] > z[best]) best = i;
    }
    found += best == labels[row] ? 1 : 0;
  }
  found = thread_block_sum(found);
  if (threadIdx.x == 0) *correct = found;
}

}  // namespace train::kernels
