// cuda_machine.cpp - one GPU: time by events on a stream, and by the host's clock.
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

/// A step that was captured, to be replayed on the default stream.
class Graph {
 public:
  explicit Graph(const std::function<void(Stream)>& step) {
    cudaStream_t stream{};  // the default one cannot be captured
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

/// Makes it the thread's device: events and the default stream are those of the device that is current when
/// they are made or named.
Device made_current(Device device) {
  check(cudaSetDevice(device.index()), "cudaSetDevice");
  return device;
}

/// All work is queued on the default stream.
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

  /// Still runs when it returns: the sample is queued behind it, as a step is behind the backward pass, and
  /// the time that the host takes to launch it is not the GPU's.
  void warm_up(const std::function<void()>& work) override { work(); }
  /// Queued before a sample's first event, so that the sample's launches are on their way while it runs.
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
  /// L2s that are written over to empty one (why: cache_emptier.hpp). It may keep what is used often.
  static constexpr double kEmptying = 4.0;

  std::string name_;
  Device device_;  ///< Before the events.
  Event start_, end_;
  DeviceBuffer emptying_;  ///< Where it was needed.
};

}  // namespace

std::unique_ptr<Machine> cuda_machine(Device device) { return std::make_unique<CudaMachine>(device); }

}  // namespace onepass::bench
