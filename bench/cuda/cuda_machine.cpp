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

/// All work is queued on the default stream.
class CudaMachine final : public Machine {
 public:
  explicit CudaMachine(Device device) : device_(device), name_(device_name(device)) {
    check(cudaSetDevice(device.index()), "cudaSetDevice");
  }
  Device device() const override { return device_; }
  std::string name() const override { return name_; }
  int launches() const override { return 2; }

  Elapsed time(const std::function<void()>& work, int repeats) override {
    using Clock = std::chrono::steady_clock;
    work();
    synchronize(device_);
    start_.record();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) work();
    const double host = std::chrono::duration<double>(Clock::now() - start).count();
    end_.record();
    return {end_.since(start_) / repeats, host / repeats};
  }

 private:
  Device device_;
  std::string name_;
  Event start_, end_;
};

}  // namespace

std::unique_ptr<Machine> cuda_machine(Device device) { return std::make_unique<CudaMachine>(device); }

}  // namespace onepass::bench
