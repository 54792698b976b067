// cuda_test.hpp - tools of the CUDA backend's tests: skipping without a GPU, CUDA streams, captured graphs.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/model.hpp"
#include "support/rules.hpp"

namespace onepass::test {

constexpr Device kGpu = Device::cuda(0);

/// Fails the test if a call of the CUDA runtime has failed.
inline void require(cudaError_t status) { ASSERT_EQ(status, cudaSuccess) << cudaGetErrorString(status); }

/// Skips every test if there is no GPU. Synchronises after each test, so that an error on the device fails
/// the test that caused it.
class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_available()) GTEST_SKIP() << "no CUDA device";
  }
  void TearDown() override {
    if (!IsSkipped()) require(cudaDeviceSynchronize());
  }
};

/// A CUDA stream that does not synchronise with the default stream.
class CudaStream {
 public:
  CudaStream() { require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~CudaStream() { cudaStreamDestroy(stream_); }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  operator Stream() const { return stream_; }  // NOLINT: implicit
  [[nodiscard]] cudaStream_t get() const { return stream_; }
  void wait() const { require(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A graph of the work that `work` queues on the CUDA stream.
class CapturedGraph {
 public:
  template <class Work>
  CapturedGraph(const CudaStream& stream, Work work) {
    require(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal));
    work();
    require(cudaStreamEndCapture(stream.get(), &graph_));
    require(cudaGraphInstantiate(&executable_, graph_, 0));
  }
  ~CapturedGraph() {
    cudaGraphExecDestroy(executable_);
    cudaGraphDestroy(graph_);
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  /// Number of kernel launches in the graph.
  [[nodiscard]] int kernel_nodes() const {
    int kernels = 0;
    for (const cudaGraphNode_t node : nodes()) {
      cudaGraphNodeType type{};
      require(cudaGraphNodeGetType(node, &type));
      if (type == cudaGraphNodeTypeKernel) ++kernels;
    }
    return kernels;
  }
  /// Number of nodes of all types.
  [[nodiscard]] int node_count() const { return static_cast<int>(nodes().size()); }

  void replay(const CudaStream& stream) const { require(cudaGraphLaunch(executable_, stream.get())); }

 private:
  [[nodiscard]] std::vector<cudaGraphNode_t> nodes() const {
    std::size_t count = 0;
    require(cudaGraphGetNodes(graph_, nullptr, &count));
    std::vector<cudaGraphNode_t> all(count);
    if (count > 0) require(cudaGraphGetNodes(graph_, all.data(), &count));
    return all;
  }

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

/// One float on the GPU.
class DeviceFloat {
 public:
  explicit DeviceFloat(float value) : buffer_(kGpu, sizeof(float)) { set(value); }
  void set(float value) { copy({kGpu, buffer_.data()}, {Device::cpu(), &value}, sizeof(float)); }
  [[nodiscard]] const float* get() const { return buffer_.as<float>(); }

 private:
  DeviceBuffer buffer_;
};

/// Returns the result of the CPU backend for the same shapes, gradients and steps.
inline Snapshot on_cpu(const RuleCase& rule, const std::vector<Shape>& shapes, int steps) {
  Model model(shapes);
  Optimizer optimizer = rule.make(model.parameters());
  train(model, optimizer, steps);
  return snapshot(model.parameters(), optimizer);
}

/// Draws new gradients and waits until they are written, so that work queued later on any CUDA stream reads
/// them.
inline void draw_and_wait(Model& model, int step) {
  model.draw_gradients(step, 200);
  synchronize(kGpu);
}

}  // namespace onepass::test
