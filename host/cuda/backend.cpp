// backend.cpp - the CUDA backend. A step is a launch of prepare and one of the update per format, after a
// norm launch if gradients are measured; it never waits.
#include "host/backend/backend.hpp"

#include <cuda_runtime_api.h>

#include <limits>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/cuda/device_guard.hpp"
#include "host/cuda/runtime.hpp"
#include "kernels/accumulate.hpp"
#include "kernels/cuda_check.hpp"
#include "kernels/reduce.hpp"
#include "kernels/table_kernels.hpp"

namespace onepass {
namespace {

using cuda::DeviceGuard;
using kernels::check;

/// 16 KiB of each float32 stream: four turns of a thread block of 256 threads with 16 bytes each.
constexpr std::int64_t kChunkSize = 4 * 1024;

bool is_capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream.handle(), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(const kernels::CudaVariant& variant, int index) : variant_(variant), index_(index) {
    const DeviceGuard guard(index_);
    check(cudaEventCreateWithFlags(&last_step_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    prepare_blocks_ = variant_.prepare.resident_blocks();
    zero_blocks_ = kernels::zero_grad_blocks();
    reduce_blocks_ = kernels::reduce_blocks();
    accumulate_blocks_ = kernels::accumulate_blocks();
    check(cudaMallocHost(reinterpret_cast<void**>(&fetched_), sizeof *fetched_), "cudaMallocHost");
    *fetched_ = std::numeric_limits<double>::quiet_NaN();
  }

  ~CudaBackend() override {
    (void)cudaFreeHost(fetched_);
    (void)cudaEventDestroy(last_step_);
  }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  std::int64_t default_chunk_size() const override { return kChunkSize; }

  /// Loads the kernels of the formats in use, so that a step under capture need not.
  void plan(const WorkPlan& plan) override {
    const DeviceGuard guard(index_);
    runs_.clear();
    for (const FormatRun& run : plan.runs) {
      runs_.push_back({run, variant_.updates[run.format].resident_blocks()});
    }
  }

  void step(const step::Table& table, std::optional<step::Measure> norm, Stream stream) override {
    const DeviceGuard guard(index_);
    if (norm) kernels::reduce_gradients(table, reduce_blocks_, stream);
    variant_.prepare.launch(table, prepare_blocks_, stream);
    for (const PlannedRun& run : runs_) {
      step::Table part = table;
      part.chunks += run.chunks.first;
      part.chunk_count = run.chunks.count;
      variant_.updates[run.chunks.format].launch(part, run.resident_blocks, stream);
    }
    remember(stream);
  }

  void zero_grad(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::zero_grad(table, zero_blocks_, stream);
    remember(stream);
  }

  void accumulate(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::accumulate(table, accumulate_blocks_, stream);
    remember(stream);
  }

  void penalty(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::reduce_penalty(table, reduce_blocks_, stream);
    remember(stream);
  }

  void fetch(const double* number, Stream stream) override {
    const DeviceGuard guard(index_);
    check(cudaMemcpyAsync(fetched_, number, sizeof *number, cudaMemcpyDeviceToHost, stream.handle()),
          "cudaMemcpyAsync");
    remember(stream);
  }
  double fetched() const override { return *static_cast<const volatile double*>(fetched_); }

  void write(void* to, std::span<const std::byte> bytes, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::write_bytes(to, bytes, stream);
    remember(stream);
  }

  void wait() noexcept override {
    int previous = index_;
    (void)cudaGetDevice(&previous);
    (void)cudaSetDevice(index_);
    (void)(captured_ ? cudaDeviceSynchronize() : cudaEventSynchronize(last_step_));
    (void)cudaSetDevice(previous);
  }

 private:
  struct PlannedRun {
    FormatRun chunks;
    int resident_blocks;
  };

  /// Records the work that wait() must wait for. The backend does not learn when a captured step runs, so
  /// after a capture wait() waits for the whole device.
  void remember(Stream stream) {
    if (is_capturing(stream)) {
      captured_ = true;
    } else {
      check(cudaEventRecord(last_step_, stream.handle()), "cudaEventRecord");
    }
  }

  kernels::CudaVariant variant_;
  int index_;
  int prepare_blocks_ = 0;
  std::vector<PlannedRun> runs_;
  int zero_blocks_ = 0;
  int reduce_blocks_ = 0;
  int accumulate_blocks_ = 0;
  double* fetched_ = nullptr;  ///< Pinned host memory, so that a copy to it need not wait.
  cudaEvent_t last_step_ = nullptr;
  bool captured_ = false;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const BackendRequest& request) {
  cuda::require_device(request.device.index());
  const kernels::CudaVariant& variant = request.ops.variants[request.variant].cuda;
  if (variant.prepare.launch == nullptr) {
    refuse(request.ops.name,
           to_string(request.device) + " was asked for, but this rule is built without CUDA");
  }
  return std::make_unique<CudaBackend>(variant, request.device.index());
}

}  // namespace onepass
