// backend.hpp - the arithmetic that a network needs, on one device.
#pragma once

#include <cstdint>
#include <memory>

#include "data/dataset.hpp"
#include "model/activation.hpp"
#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace train {

/// A row-major matrix in the backend's memory; owns nothing.
struct Matrix {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// A matrix as it enters a product: as it lies, or turned.
struct Factor {
  Matrix matrix;
  bool transposed = false;

  [[nodiscard]] std::int64_t rows() const { return transposed ? matrix.columns : matrix.rows; }
  [[nodiscard]] std::int64_t columns() const { return transposed ? matrix.rows : matrix.columns; }
};
inline Factor turned(Matrix matrix) { return {matrix, true}; }

/// Images in the backend's memory.
struct DeviceImages {
  onepass::DeviceBuffer pixels;  ///< One byte each.
  onepass::DeviceBuffer labels;  ///< One byte each.
  std::int64_t count = 0;
  std::int64_t size = 0;
  Normalisation normalisation;
};

/// All pointers are to the memory of device(). Every function is asynchronous on stream() and gives the same
/// bits whenever it is given the same (on the CPU: with the same number of threads).
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual onepass::Device device() const = 0;
  [[nodiscard]] virtual onepass::Stream stream() const = 0;

  /// Row i of x becomes image order[i], normalised, and labels[i] its class. x.columns is the image's size.
  virtual void gather(const DeviceImages& images, const std::int32_t* order, Matrix x,
                      std::uint8_t* labels) = 0;

  /// c = a b
  virtual void multiply(Factor a, Factor b, Matrix c) = 0;

  /// y = activation(y + bias), the bias added to every row.
  virtual void add_bias(Matrix y, const float* bias, Activation activation) = 0;

  /// delta, the gradient by `output`, becomes that by what the activation made it from.
  virtual void activation_backward(Matrix delta, const float* output, Activation activation) = 0;

  /// sums[j] = sum of column j.
  virtual void column_sums(Matrix matrix, float* sums) = 0;

  /// row_loss[i] = -log softmax(logits[i])[labels[i]]; the logits become the gradient of the sum of them over
  /// `divisor`, which is the number of rows where the mean is wanted.
  virtual void softmax_cross_entropy(Matrix logits, const std::uint8_t* labels, float divisor,
                                     float* row_loss) = 0;

  /// wide[i] = the bfloat16 stored[i], exactly.
  virtual void widen(const std::uint16_t* stored, std::int64_t count, float* wide) = 0;

  /// stored[i] = wide[i] as bfloat16, to nearest, ties to even.
  virtual void narrow(const float* wide, std::int64_t count, std::uint16_t* stored) = 0;

  /// *mean = the mean of `count` values, added up in double.
  virtual void mean(const float* values, std::int64_t count, double* mean) = 0;

  /// *correct = in how many rows the label's logit is the largest, the first of equals.
  virtual void count_correct(Matrix logits, const std::uint8_t* labels, std::int64_t* correct) = 0;

  /// Times what is queued between the two. CPU: the wall clock. CUDA: events on stream().
  virtual void start_clock() = 0;
  virtual void stop_clock() = 0;
  /// All that was timed so far, and starts again from 0. Waits for stream().
  virtual double read_clock() = 0;
};

std::unique_ptr<Backend> make_cpu_backend(int threads);
/// Only in a build with CUDA. Throws onepass::CudaError, or Failure if cuBLAS does not start.
std::unique_ptr<Backend> make_cuda_backend(int index);

/// Copies images to the backend's memory.
DeviceImages upload(Backend& backend, const Images& images, Normalisation normalisation);

}  // namespace train
