// thrust_vectors.cu - trains a thrust::device_vector; the same steps on the CPU give the same bits.
#include <thrust/device_vector.h>
#include <thrust/host_vector.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

constexpr std::size_t kCount = 10007;
constexpr int kSteps = 20;
constexpr onepass::AdamW kRule{.lr = 1e-2, .weight_decay = 0.1};

/// Returns made-up numbers of both signs, the same in every run.
thrust::host_vector<float> wave(std::size_t period, float height) {
  thrust::host_vector<float> values(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    values[i] = height * (static_cast<float>(i % period) / static_cast<float>(period) - 0.5f);
  }
  return values;
}

onepass::Tensor view(thrust::device_vector<float>& values) {
  return {thrust::raw_pointer_cast(values.data()), static_cast<std::int64_t>(values.size()),
          onepass::Device::cuda()};
}

thrust::host_vector<float> train_on_gpu(const thrust::host_vector<float>& start,
                                        const thrust::host_vector<float>& gradient) {
  thrust::device_vector<float> weights = start;
  thrust::device_vector<float> grad = gradient;
  std::vector<onepass::Parameter> parameters{{.name = "weights", .value = view(weights), .grad = view(grad)}};
  onepass::Optimizer optimizer{kRule, parameters};
  for (int step = 0; step < kSteps; ++step) optimizer.step();
  return weights;  // the copy to the host waits for the steps: both are on the default stream
}

std::vector<float> train_on_cpu(const thrust::host_vector<float>& start,
                                const thrust::host_vector<float>& gradient) {
  std::vector<float> weights(start.begin(), start.end());
  std::vector<float> grad(gradient.begin(), gradient.end());
  std::vector<onepass::Parameter> parameters{{.name = "weights", .value = weights, .grad = grad}};
  onepass::Optimizer optimizer{kRule, parameters};
  for (int step = 0; step < kSteps; ++step) optimizer.step();
  return weights;
}

}  // namespace

int main() {
  if (!onepass::cuda_available()) {
    std::printf("there is no CUDA device here, so there is nothing to show\n");
    return EXIT_SUCCESS;
  }
  const thrust::host_vector<float> start = wave(101, 2.0f);
  const thrust::host_vector<float> gradient = wave(13, 0.1f);
  const thrust::host_vector<float> gpu = train_on_gpu(start, gradient);
  const std::vector<float> cpu = train_on_cpu(start, gradient);
  const bool equal = std::memcmp(gpu.data(), cpu.data(), kCount * sizeof(float)) == 0;
  std::printf("%d steps on %zu elements of a thrust::device_vector: GPU and CPU give %s\n", kSteps, kCount,
              equal ? "the same bits" : "DIFFERENT BITS");
  return equal ? EXIT_SUCCESS : EXIT_FAILURE;
}
