// thread_pool.hpp - the library's own threads, which wait for the next step and work on it together.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "host/cpu/threads/learner.hpp"
#include "host/cpu/threads/shared_run.hpp"

namespace onepass::cpu {

/// True in a process that was forked after this library was loaded: it does not have the threads of its
/// parent.
bool forked();

/// Runs one piece of work on several threads; the caller is one of them.
class ThreadPool {
 public:
  /// How long workers spin after a run before they sleep. Also the longest gap between runs of one burst. It
  /// is about the cost of waking a thread on a busy virtual machine, so that spinning in vain costs no more
  /// than sleeping in vain.
  static constexpr std::chrono::microseconds kSpin = SharedRun::kSpin;

  /// A run is thought to be worth waking sleepers for when it takes one thread this long. Waking takes 7
  /// microseconds of the caller's time. The worker starts 25 microseconds later, or 100 to 150 if others use
  /// the machine. Measured on an idle machine, waking pays from some 50 microseconds on.
  static constexpr std::chrono::microseconds kWorthWaking{150};

  /// A burst that has had more runs than this, and has taken kWorthWaking, is expected to go on. A single
  /// step has fewer runs: gradients are added up and measured, then parameters are moved.
  static constexpr int kRunsOfOneStep = 4;

  /// The pool that all optimizers of the process share. It is made on first use and grows as needed.
  static ThreadPool& shared();

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Does every part once, and returns when all are done. If another thread is using the pool, or the pool
  /// cannot start enough threads, the caller does all parts alone, in order. If workers sleep, `learner`
  /// decides whether they are woken, and learns from this run; without a learner kWorthWaking decides.
  void run(const Job& job, Learner* learner = nullptr);

  /// The same for a callable: work(thread, part).
  template <class Work>
  void run(const PoolRun& run, Work& work, Learner* learner = nullptr) {
    this->run(job_of(run, work), learner);
  }

  /// Number of workers that do not sleep.
  [[nodiscard]] int awake() const { return awake_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  /// The word that a worker sleeps on, on a cache line of its own.
  struct alignas(64) Bed {
    std::atomic<unsigned> asleep{0};
  };

  bool grow(int threads);
  void run_together(const Job& job, Learner* learner);
  [[nodiscard]] bool burst_goes_on(Clock::time_point begin);
  [[nodiscard]] bool any_asleep(int threads) const;
  void wake(int thread);
  void work(int thread, Bed& bed);
  [[nodiscard]] bool rest(Bed& bed, unsigned seen);

  std::atomic<bool> busy_{false};  ///< Not a mutex, because work may call run() and find it taken.
  std::atomic<bool> stopping_{false};
  std::atomic<int> awake_{0};
  std::vector<std::thread> workers_;
  std::vector<std::unique_ptr<Bed>> beds_;  ///< One for each worker.
  Clock::time_point burst_begin_{};
  Clock::time_point last_end_{};
  int burst_runs_ = 0;
  SharedRun run_;
};

}  // namespace onepass::cpu
