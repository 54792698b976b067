// backend.hpp - the operations that a network needs, on one device.
#pragma once

#include <cstdint>
#include <memory>

#include "data/dataset.hpp"
#include "model/activation.hpp"
#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace train {

/// A view of a row-major matrix in the backend's memory.
struct Matrix {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// A matrix as a factor of a product, as it is or transposed.
struct Factor {
  Matrix matrix;
  bool transposed = false;

  [[nodiscard]] std::int64_t rows() const { return transposed ? matrix.columns : matrix.rows; }
  [[nodiscard]] std::int64_t columns() const { return transposed ? matrix.rows : matrix.columns; }
};
inline Factor transpose(Matrix matrix) { return {matrix, true}; }

/// Images in the backend's memory.
struct DeviceImages {
  onepass::DeviceBuffer pixels;  ///< One byte per pixel.
  onepass::DeviceBuffer labels;  ///< One byte per image.
  std::int64_t count = 0;
  std::int64_t size = 0;
  Normalisation normalisation;
};

/// All pointers refer to memory of device(). Every function is asynchronous on stream(), and equal inputs
/// give equal bits (on the CPU for the same number of threads).
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual onepass::Device device() const = 0;
  [[nodiscard]] virtual onepass::Stream stream() const = 0;

  /// Writes the normalised image order[i] to row i of x, and its class to labels[i]. x.columns is the number
  /// of pixels of an image.
  virtual void gather(const DeviceImages& images, const std::int32_t* order, Matrix x,
                      std::uint8_t* labels) = 0;

  /// c = a b
  virtual void multiply(Factor a, Factor b, Matrix c) = 0;

  /// y = activation(y + bias); the bias is added to every row.
  virtual void add_bias(Matrix y, const float* bias, Activation activation) = 0;

  /// Turns delta from the gradient with respect to `output` into the gradient with respect to the input of
  /// the activation.
  virtual void activation_backward(Matrix delta, const float* output, Activation activation) = 0;

  /// sums[j] = the sum of column j.
  virtual void column_sums(Matrix matrix, float* sums) = 0;

  /// row_loss[i] = -log softmax(logits[i])[labels[i]]. Overwrites the logits with the gradient of the sum of
  /// all row losses divided by `divisor`; for the gradient of the mean pass the number of rows.
  virtual void softmax_cross_entropy(Matrix logits, const std::uint8_t* labels, float divisor,
                                     float* row_loss) = 0;

  /// wide[i] = the bfloat16 stored[i] as float32; exact.
  virtual void widen(const std::uint16_t* stored, std::int64_t count, float* wide) = 0;

  /// stored[i] = wide[i] as bfloat16, rounded to nearest even.
  virtual void narrow(const float* wide, std::int64_t count, std::uint16_t* stored) = 0;

  /// *mean = the mean of `count` values, summed in double.
  virtual void mean(const float* values, std::int64_t count, double* mean) = 0;

  /// *correct = the number of rows whose largest logit is the label's. Of equal logits the first is the
  /// largest.
  virtual void count_correct(Matrix logits, const std::uint8_t* labels, std::int64_t* correct) = 0;

  /// Time the work that is queued between the two calls: on the CPU by the wall clock, on CUDA by events on
  /// stream().
  virtual void start_clock() = 0;
  virtual void stop_clock() = 0;
  /// Returns the seconds timed since the last call and resets them to 0. Waits for stream().
  virtual double read_clock() = 0;
};

std::unique_ptr<Backend> make_cpu_backend(int threads);
/// Exists only in a build with CUDA. Throws onepass::CudaError, or Failure if cuBLAS does not start.
std::unique_ptr<Backend> make_cuda_backend(int index);

/// Copies images to the backend's memory.
DeviceImages upload(Backend& backend, const Images& images, Normalisation normalisation);

}  // namespace train
