// cpu_backend.cpp - the network's operations on the CPU: OpenBLAS and plain loops.
#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "model/backend.hpp"
#include "onepass/storage/bfloat16.hpp"

namespace train {
namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) { openblas_set_num_threads(threads); }

  [[nodiscard]] onepass::Device device() const override { return onepass::Device::cpu(); }
  [[nodiscard]] onepass::Stream stream() const override { return {}; }

  void gather(const DeviceImages& images, const std::int32_t* order, Matrix x,
              std::uint8_t* labels) override {
    const auto [scale, shift] = images.normalisation;
    for (std::int64_t row = 0; row < x.rows; ++row) {
      const std::uint8_t* pixels = images.pixels.as<std::uint8_t>() + order[row] * images.size;
      float* out = x.data + row * x.columns;
      for (std::int64_t i = 0; i < x.columns; ++i) out[i] = scale * static_cast<float>(pixels[i]) + shift;
      labels[row] = images.labels.as<std::uint8_t>()[order[row]];
    }
  }

  void multiply(Factor a, Factor b, Matrix c) override {
    cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
                b.transposed ? CblasTrans : CblasNoTrans, static_cast<blasint>(c.rows),
                static_cast<blasint>(c.columns), static_cast<blasint>(a.columns()), 1.0f, a.matrix.data,
                static_cast<blasint>(a.matrix.columns), b.matrix.data, static_cast<blasint>(b.matrix.columns),
                0.0f, c.data, static_cast<blasint>(c.columns));
  }

  void add_bias(Matrix y, const float* bias, Activation activation) override {
    with_activation(activation, [&]<Activation kActivation> {
      for (std::int64_t row = 0; row < y.rows; ++row) {
        float* out = y.data + row * y.columns;
        for (std::int64_t i = 0; i < y.columns; ++i) {
          out[i] = activation::forward<kActivation>(out[i] + bias[i]);
        }
      }
    });
  }

  void activation_backward(Matrix delta, const float* output, Activation activation) override {
    with_activation(activation, [&]<Activation kActivation> {
      const std::int64_t numel = delta.rows * delta.columns;
      for (std::int64_t i = 0; i < numel; ++i) {
        delta.data[i] = activation::backward<kActivation>(delta.data[i], output[i]);
      }
    });
  }

  void column_sums(Matrix matrix, float* sums) override {
    std::fill_n(sums, matrix.columns, 0.0f);
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
      const float* values = matrix.data + row * matrix.columns;
      for (std::int64_t i = 0; i < matrix.columns; ++i) sums[i] += values[i];
    }
  }

  void softmax_cross_entropy(Matrix logits, const std::uint8_t* labels, float divisor,
                             float* row_loss) override {
    for (std::int64_t row = 0; row < logits.rows; ++row) {
      float* z = logits.data + row * logits.columns;
      const float largest = *std::max_element(z, z + logits.columns);
      const float label_logit = z[labels[row]];
      float sum = 0.0f;
      for (std::int64_t i = 0; i < logits.columns; ++i) sum += z[i] = std::exp(z[i] - largest);
      for (std::int64_t i = 0; i < logits.columns; ++i) {
        const float target = i == labels[row] ? 1.0f : 0.0f;
        z[i] = (z[i] / sum - target) / divisor;
      }
      row_loss[row] = std::log(sum) - (label_logit - largest);
    }
  }

  void widen(const std::uint16_t* stored, std::int64_t count, float* wide) override {
    for (std::int64_t i = 0; i < count; ++i) wide[i] = onepass::storage::BFloat16::decode(stored[i]);
  }

  void narrow(const float* wide, std::int64_t count, std::uint16_t* stored) override {
    for (std::int64_t i = 0; i < count; ++i) stored[i] = onepass::storage::BFloat16::encode(wide[i]);
  }

  void mean(const float* values, std::int64_t count, double* mean) override {
    double sum = 0.0;
    for (std::int64_t i = 0; i < count; ++i) sum += values[i];
    *mean = sum / static_cast<double>(count);
  }

  void count_correct(Matrix logits, const std::uint8_t* labels, std::int64_t* correct) override {
    *correct = 0;
    for (std::int64_t row = 0; row < logits.rows; ++row) {
      const float* z = logits.data + row * logits.columns;
      *correct += std::max_element(z, z + logits.columns) - z == labels[row] ? 1 : 0;
    }
  }

  void start_clock() override { started_ = Clock::now(); }
  void stop_clock() override { timed_ += std::chrono::duration<double>(Clock::now() - started_).count(); }
  double read_clock() override { return std::exchange(timed_, 0.0); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point started_;
  double timed_ = 0.0;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) { return std::make_unique<CpuBackend>(threads); }

DeviceImages upload(Backend& backend, const Images& images, Normalisation normalisation) {
  const onepass::Device device = backend.device();
  const onepass::Stream stream = backend.stream();
  DeviceImages uploaded{.pixels = {device, images.pixels.size(), stream},
                        .labels = {device, images.labels.size(), stream},
                        .count = images.count,
                        .size = images.size,
                        .normalisation = normalisation};
  onepass::copy({device, uploaded.pixels.data()}, {onepass::Device::cpu(), images.pixels.data()},
                images.pixels.size(), stream);
  onepass::copy({device, uploaded.labels.data()}, {onepass::Device::cpu(), images.labels.data()},
                images.labels.size(), stream);
  return uploaded;
}

}  // namespace train
