// cuda_machine.cpp - one GPU, timed by events on a CUDA stream and by the host's clock.
#include <cuda_runtime.h>

#include <chrono>
#include <memory>

#include "bench/cuda/check.hpp"
#include "bench/machine/machine.hpp"

namespace onepass::bench {
namespace {

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { (void)cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record() { check(cudaEventRecord(event_), "cudaEventRecord"); }
  [[nodiscard]] double since(const Event& start) const {
    check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_{};
};

/// A captured step that is replayed on the default stream.
class Graph {
 public:
  explicit Graph(const std::function<void(Stream)>& step) {
    cudaStream_t stream{};  // the default stream cannot be captured
    check(cudaStreamCreate(&stream), "cudaStreamCreate");
    cudaGraph_t graph{};
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    step(stream);
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiate(&replayed_, graph, 0), "cudaGraphInstantiate");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");
    check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  }
  ~Graph() { (void)cudaGraphExecDestroy(replayed_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void replay() const { check(cudaGraphLaunch(replayed_, nullptr), "cudaGraphLaunch"); }

 private:
  cudaGraphExec_t replayed_{};
};

double l2_bytes(Device device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device.index()), "cudaDeviceGetAttribute");
  return static_cast<double>(bytes);
}

/// Makes `device` the thread's current device, because events and the default stream belong to the device
/// that is current when they are made or used.
Device made_current(Device device) {
  check(cudaSetDevice(device.index()), "cudaSetDevice");
  return device;
}

/// Queues all work on the default stream.
class CudaMachine final : public Machine {
 public:
  explicit CudaMachine(Device device) : name_(device_name(device)), device_(made_current(device)) {}
  std::string name() const override { return name_; }
  int launches(bool clips) const override { return clips ? 3 : 2; }
  double free_bytes() const override {
    std::size_t free = 0, all = 0;
    check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return static_cast<double>(free);
  }
  double cache_bytes() const override { return l2_bytes(device_); }
  double emptying_bytes(int /*threads*/) const override { return kEmptying * l2_bytes(device_); }

  /// Queues the work without waiting for it. The sample is queued behind it, like a step behind the backward
  /// pass, so the GPU's time does not contain the time that the host needs to launch the sample.
  void warm_up(const std::function<void()>& work) override { work(); }
  /// Queues a memset before the first event of a sample. The host launches the sample while the memset runs.
  void empty_caches(int threads) override {
    const auto bytes = static_cast<std::size_t>(emptying_bytes(threads));
    if (emptying_.data() == nullptr) emptying_ = DeviceBuffer(device_, bytes);
    check(cudaMemsetAsync(emptying_.data(), 0, bytes, nullptr), "cudaMemsetAsync");
  }

  std::function<void()> captured(const std::function<void(Stream)>& step) override {
    const auto graph = std::make_shared<Graph>(step);
    return [graph] { graph->replay(); };
  }

  Elapsed time(const std::function<void()>& work, int repeats) override {
    using Clock = std::chrono::steady_clock;
    start_.record();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) work();
    const double host = std::chrono::duration<double>(Clock::now() - start).count();
    end_.record();
    return {end_.since(start_) / repeats, host / repeats};
  }

 private:
  /// Bytes written to empty L2, as a multiple of its size: L2 may keep lines that are used often. Why caches
  /// are emptied: cache_emptier.hpp.
  static constexpr double kEmptying = 4.0;

  std::string name_;
  Device device_;  ///< Declared before the events: its initialiser makes the device current.
  Event start_, end_;
  DeviceBuffer emptying_;  ///< Allocated when first needed.
};

}  // namespace

std::unique_ptr<Machine> cuda_machine(Device device) { return std::make_unique<CudaMachine>(device); }

}  // namespace onepass::bench
