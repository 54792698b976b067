// processors.hpp - the processors that a thread may run on. On other systems than Linux it does nothing.
#pragma once

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include <thread>

namespace onepass::cpu {

#if defined(__linux__)

/// A set of processors.
class Processors {
 public:
  /// The processors that the calling thread may run on.
  static Processors of_this_thread() {
    Processors mine;
    if (pthread_getaffinity_np(pthread_self(), sizeof mine.set_, &mine.set_) != 0) CPU_ZERO(&mine.set_);
    return mine;
  }
  /// The set without the processor that the caller is running on.
  [[nodiscard]] Processors others() const {
    Processors others = *this;
    if (const int here = sched_getcpu(); here >= 0) CPU_CLR(static_cast<std::size_t>(here), &others.set_);
    return others;
  }
  /// Lets a thread run on these processors only. Does nothing if the set is empty.
  void give_to(std::thread::native_handle_type thread) const {
    if (CPU_COUNT(&set_) > 0) pthread_setaffinity_np(thread, sizeof set_, &set_);
  }
  void give_to_this_thread() const { give_to(pthread_self()); }

 private:
  cpu_set_t set_{};
};

#else

class Processors {
 public:
  static Processors of_this_thread() { return {}; }
  [[nodiscard]] Processors others() const { return {}; }
  void give_to(std::thread::native_handle_type /*thread*/) const {}
  void give_to_this_thread() const {}
};

#endif

}  // namespace onepass::cpu
