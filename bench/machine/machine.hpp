// machine.hpp - runs and times steps on a device.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace onepass::bench {

/// The time of one call.
struct Elapsed {
  double seconds;       ///< Until the work was done.
  double host_seconds;  ///< Until the call returned. Equal to `seconds` on the CPU.
};

/// The interface between the harness and a device. A new device needs a Machine and Rivals (rivals.hpp).
class Machine {
 public:
  virtual ~Machine() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "AMD EPYC", "NVIDIA H200"
  /// Kernel launches, or dispatches to the thread pool, in one step.
  [[nodiscard]] virtual int launches(bool clips) const = 0;
  /// Free bytes of the memory that holds the models.
  [[nodiscard]] virtual double free_bytes() const = 0;
  /// Bytes of the last-level cache.
  [[nodiscard]] virtual double cache_bytes() const = 0;
  /// Bytes of memory that empty_caches(threads) uses.
  [[nodiscard]] virtual double emptying_bytes(int threads) const = 0;

  /// Does the work once before a hot sample. It leaves the threads awake, or the device busy until the sample
  /// has been queued, and the caches as the work leaves them.
  virtual void warm_up(const std::function<void()>& work) = 0;
  /// Before a cold sample: removes from the caches all memory that work on `threads` threads moves, and
  /// leaves the threads awake.
  virtual void empty_caches(int threads) = 0;

  /// Captures `step` and returns a function that replays it on the CUDA stream of the other work. Returns an
  /// empty function if the device cannot capture.
  virtual std::function<void()> captured(const std::function<void(Stream)>& step) = 0;

  /// Calls `work` `repeats` times in a row and returns the mean time of a call.
  virtual Elapsed time(const std::function<void()>& work, int repeats) = 0;
};

std::unique_ptr<Machine> cpu_machine();
#ifdef ONEPASS_BENCH_CUDA
/// Throws InvalidArgument if the device does not exist.
std::unique_ptr<Machine> cuda_machine(Device device);
#endif

}  // namespace onepass::bench
