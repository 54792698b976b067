// cuda_backend.cu - the network's operations on a GPU: cuBLAS and a few kernels.
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "errors.hpp"
#include "model/cuda_kernels.cuh"
#include "onepass/error.hpp"

namespace train {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw onepass::CudaError(std::string(what) + " failed: " + cudaGetErrorString(status));
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Failure(std::string(what) + " failed: " + cublasGetStatusString(status));
}

unsigned thread_blocks(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

struct Destroy {
  void operator()(CUstream_st* stream) const { cudaStreamDestroy(stream); }
  void operator()(CUevent_st* event) const { cudaEventDestroy(event); }
  void operator()(cublasContext* handle) const { cublasDestroy(handle); }
};
using Stream = std::unique_ptr<CUstream_st, Destroy>;
using Event = std::unique_ptr<CUevent_st, Destroy>;
using Blas = std::unique_ptr<cublasContext, Destroy>;

/// Makes `device` current and creates a CUDA stream on it.
Stream make_stream(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return Event(event);
}

Blas make_blas(cudaStream_t stream) {
  cublasHandle_t handle = nullptr;
  check(cublasCreate(&handle), "cublasCreate");
  Blas blas(handle);
  check(cublasSetStream(handle, stream), "cublasSetStream");
  return blas;
}

/// Sums the time between pairs of events. Waits for the device only once every kPairs intervals.
class EventClock {
 public:
  EventClock() {
    for (auto& [start, stop] : pairs_) {
      start = make_event();
      stop = make_event();
    }
  }

  void start(cudaStream_t stream) {
    if (used_ == kPairs) drain();
    check(cudaEventRecord(pairs_[used_].start.get(), stream), "cudaEventRecord");
  }
  void stop(cudaStream_t stream) {
    check(cudaEventRecord(pairs_[used_].stop.get(), stream), "cudaEventRecord");
    ++used_;
  }

  double read() {
    drain();
    return std::exchange(seconds_, 0.0);
  }

 private:
  static constexpr std::size_t kPairs = 256;
  struct Pair {
    Event start, stop;
  };

  void drain() {
    for (std::size_t i = 0; i < used_; ++i) {
      const Pair& pair = pairs_[i];
      float milliseconds = 0.0f;
      check(cudaEventSynchronize(pair.stop.get()), "cudaEventSynchronize");
      check(cudaEventElapsedTime(&milliseconds, pair.start.get(), pair.stop.get()), "cudaEventElapsedTime");
      seconds_ += 1e-3 * milliseconds;
    }
    used_ = 0;
  }

  std::array<Pair, kPairs> pairs_;
  std::size_t used_ = 0;
  double seconds_ = 0.0;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index)
      : index_(index), stream_(make_stream(index)), blas_(make_blas(stream_.get())) {}

  [[nodiscard]] onepass::Device device() const override { return onepass::Device::cuda(index_); }
  [[nodiscard]] onepass::Stream stream() const override { return stream_.get(); }

  void gather(const DeviceImages& images, const std::int32_t* order, Matrix x,
              std::uint8_t* labels) override {
    const kernels::Gathered from{images.pixels.as<std::uint8_t>(), images.labels.as<std::uint8_t>(), order,
                                 images.normalisation};
    kernels::gather<<<thread_blocks(x.rows, 1), kernels::kThreads, 0, stream_.get()>>>(from, x, labels);
    check(cudaGetLastError(), "the launch of gather");
  }

  /// cuBLAS is column-major, so it sees the transpose of every matrix here; it computes c^T = b^T a^T.
  void multiply(Factor a, Factor b, Matrix c) override {
    const float one = 1.0f;
    const float zero = 0.0f;
    check(cublasSgemm(blas_.get(), b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                      a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(c.columns),
                      static_cast<int>(c.rows), static_cast<int>(a.columns()), &one, b.matrix.data,
                      static_cast<int>(b.matrix.columns), a.matrix.data, static_cast<int>(a.matrix.columns),
                      &zero, c.data, static_cast<int>(c.columns)),
          "cublasSgemm");
  }

  void add_bias(Matrix y, const float* bias, Activation activation) override {
    with_activation(activation, [&]<Activation kActivation> {
      const unsigned grid = thread_blocks(y.rows * y.columns, kernels::kThreads);
      kernels::add_bias<kActivation><<<grid, kernels::kThreads, 0, stream_.get()>>>(y, bias);
    });
    check(cudaGetLastError(), "the launch of add_bias");
  }

  void activation_backward(Matrix delta, const float* output, Activation activation) override {
    with_activation(activation, [&]<Activation kActivation> {
      const unsigned grid = thread_blocks(delta.rows * delta.columns, kernels::kThreads);
      kernels::activation_backward<kActivation><<<grid, kernels::kThreads, 0, stream_.get()>>>(delta, output);
    });
    check(cudaGetLastError(), "the launch of activation_backward");
  }

  void column_sums(Matrix matrix, float* sums) override {
    const unsigned grid = thread_blocks(matrix.columns, kernels::kWarp);
    kernels::column_sums<<<grid, kernels::kManyThreads, 0, stream_.get()>>>(matrix, sums);
    check(cudaGetLastError(), "the launch of column_sums");
  }

  void softmax_cross_entropy(Matrix logits, const std::uint8_t* labels, float divisor,
                             float* row_loss) override {
    const unsigned grid = thread_blocks(logits.rows * kernels::kWarp, kernels::kThreads);
    kernels::softmax_cross_entropy<<<grid, kernels::kThreads, 0, stream_.get()>>>(logits, labels, divisor,
                                                                                  row_loss);
    check(cudaGetLastError(), "the launch of softmax_cross_entropy");
  }

  void widen(const std::uint16_t* stored, std::int64_t count, float* wide) override {
    const unsigned grid = thread_blocks(count, kernels::kThreads);
    kernels::widen<<<grid, kernels::kThreads, 0, stream_.get()>>>(stored, count, wide);
    check(cudaGetLastError(), "the launch of widen");
  }

  void narrow(const float* wide, std::int64_t count, std::uint16_t* stored) override {
    const unsigned grid = thread_blocks(count, kernels::kThreads);
    kernels::narrow<<<grid, kernels::kThreads, 0, stream_.get()>>>(wide, count, stored);
    check(cudaGetLastError(), "the launch of narrow");
  }

  void mean(const float* values, std::int64_t count, double* mean) override {
    kernels::mean<<<1, kernels::kManyThreads, 0, stream_.get()>>>(values, count, mean);
    check(cudaGetLastError(), "the launch of mean");
  }

  void count_correct(Matrix logits, const std::uint8_t* labels, std::int64_t* correct) override {
    kernels::count_correct<<<1, kernels::kManyThreads, 0, stream_.get()>>>(logits, labels, correct);
    check(cudaGetLastError(), "the launch of count_correct");
  }

  void start_clock() override { clock_.start(stream_.get()); }
  void stop_clock() override { clock_.stop(stream_.get()); }
  double read_clock() override { return clock_.read(); }

 private:
  int index_;
  Stream stream_;
  Blas blas_;
  EventClock clock_;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(int index) { return std::make_unique<CudaBackend>(index); }

}  // namespace train
