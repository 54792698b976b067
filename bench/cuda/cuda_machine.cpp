// cuda_machine.cpp - one GPU: time by events on a stream, and by the host's clock.
#include <cuda_runtime.h>

#include <chrono>

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

double l2_bytes(Device device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device.index()), "cudaDeviceGetAttribute");
  return static_cast<double>(bytes);
}

/// All work is queued on the default stream.
class CudaMachine final : public Machine {
 public:
  explicit CudaMachine(Device device) : device_(device), name_(device_name(device)) {
    check(cudaSetDevice(device.index()), "cudaSetDevice");
  }
  Device device() const override { return device_; }
  std::string name() const override { return name_; }
  int launches() const override { return 2; }
  double free_bytes() const override {
    std::size_t free = 0, all = 0;
    check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return static_cast<double>(free);
  }
  double cache_bytes() const override { return l2_bytes(device_); }
  double emptying_bytes(int /*threads*/) const override { return kEmptying * l2_bytes(device_); }

  void warm_up(const std::function<void()>& work) override {
    work();
    synchronize(device_);
  }
  /// Queued before a sample's first event, so that the sample's launches are on their way while it runs.
  void empty_caches(int threads) override {
    const auto bytes = static_cast<std::size_t>(emptying_bytes(threads));
    if (emptying_.data() == nullptr) emptying_ = DeviceBuffer(device_, bytes);
    check(cudaMemsetAsync(emptying_.data(), 0, bytes, nullptr), "cudaMemsetAsync");
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

  Device device_;
  std::string name_;
  Event start_, end_;
  DeviceBuffer emptying_;  ///< Where it was needed.
};

}  // namespace

std::unique_ptr<Machine> cuda_machine(Device device) { return std::make_unique<CudaMachine>(device); }

}  // namespace onepass::bench
