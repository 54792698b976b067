#include "kernels/codec_kernels.hpp"

#include "kernels/launch.cuh"

namespace onepass::test {
namespace {

constexpr int kThreads = 128;
constexpr int kMostBlocks = 1 << 16;

__global__ void codec_kernel(const CodecInput* const inputs, CodecResults* const results, const int count) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < count) results[i] = CodecResults::at(inputs[i]);
}

}  // namespace

void codecs_on_device(const CodecInput* inputs, CodecResults* results, int count) {
  const unsigned blocks = kernels::blocks_for((count + kThreads - 1) / kThreads, kMostBlocks);
  kernels::launch(codec_kernel, {blocks, kThreads, nullptr}, inputs, results, count);
}

}  // namespace onepass::test
