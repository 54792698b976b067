// machine.hpp - where steps run, and what time they take there.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace onepass::bench {

/// Of one call.
struct Elapsed {
  double seconds;       ///< Until the work was done.
  double host_seconds;  ///< Until the call had returned. On the CPU the same.
};

/// The seam between the harness and a device. A new device is one of these, and Rivals for it (rivals.hpp).
class Machine {
 public:
  virtual ~Machine() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "AMD EPYC", "NVIDIA H200"
  /// Launches, or dispatches to the threads, of one step.
  [[nodiscard]] virtual int launches(bool clips) const = 0;
  /// Bytes that nobody uses of the memory that models lie in.
  [[nodiscard]] virtual double free_bytes() const = 0;
  /// Bytes of the last cache before that memory.
  [[nodiscard]] virtual double cache_bytes() const = 0;
  /// Bytes that empty_caches() takes of that memory, for work on so many threads.
  [[nodiscard]] virtual double emptying_bytes(int threads) const = 0;

  /// Before a sample, one of these. Does the work once, which leaves the threads awake, or the device busy
  /// until the sample has been queued, and the caches as the work leaves them.
  virtual void warm_up(const std::function<void()>& work) = 0;
  /// Leaves nothing in the caches of what work on `threads` threads moves, and the threads awake.
  virtual void empty_caches(int threads) = 0;

  /// What replays a step that is captured now, on the stream that other work is queued on; empty where
  /// nothing is captured.
  virtual std::function<void()> captured(const std::function<void(Stream)>& step) = 0;

  /// One call of `work`: the mean of `repeats` in a row.
  virtual Elapsed time(const std::function<void()>& work, int repeats) = 0;
};

std::unique_ptr<Machine> cpu_machine();
#ifdef ONEPASS_BENCH_CUDA
/// Throws InvalidArgument if there is no such device.
std::unique_ptr<Machine> cuda_machine(Device device);
#endif

}  // namespace onepass::bench
