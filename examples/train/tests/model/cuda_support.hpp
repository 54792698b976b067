// cuda_support.hpp - runs the same work on both backends and compares the results.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/training/trainer_support.hpp"
#include "training/trainer.hpp"

namespace train::testing {

/// Returns `count` numbers in [-1, 1) that depend only on the seed.
inline std::vector<float> numbers(std::int64_t count, std::uint64_t seed) {
  Random random(seed, 0);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(2.0 * uniform(random) - 1.0);
  return values;
}

/// Copies values to new memory on a backend's device.
template <class T>
onepass::DeviceBuffer put(Backend& backend, const std::vector<T>& values) {
  onepass::DeviceBuffer buffer(backend.device(), values.size() * sizeof(T), backend.stream());
  onepass::copy({backend.device(), buffer.data()}, {onepass::Device::cpu(), values.data()}, buffer.bytes(),
                backend.stream());
  return buffer;
}

template <class T>
std::vector<T> get(Backend& backend, const onepass::DeviceBuffer& buffer) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  onepass::copy({onepass::Device::cpu(), values.data()}, {backend.device(), buffer.data()}, buffer.bytes(),
                backend.stream());
  return values;
}

class CudaBackend : public ::testing::Test {
 protected:
  /// Runs `work(backend)`, which returns a vector, on both backends.
  template <class Work>
  auto on_both(Work work) {
    return std::pair{work(*cpu_), work(*cuda_)};
  }
  std::unique_ptr<Backend> cpu_ = make_cpu_backend(1);
  std::unique_ptr<Backend> cuda_ = make_cuda_backend(0);
};

inline void expect_near(const std::vector<float>& expected, const std::vector<float>& actual,
                        float tolerance) {
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], actual[i], tolerance) << i;
}

/// A trainer on a backend, with the images that it needs.
struct Whole {
  Whole(Backend& backend, const Dataset& data, const Settings& settings)
      : images{upload(backend, data.training, data.normalisation),
               upload(backend, data.test, data.normalisation)},
        trainer(backend, images, settings) {}
  DeviceDataset images;
  Trainer trainer;
};

}  // namespace train::testing
