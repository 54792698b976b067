// thread_pool.hpp - threads that wait for the next step and work on it together.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace onepass::cpu {

/// One piece of work for the pool.
struct PoolRun {
  int threads;             ///< Most threads that work on it, including the caller.
  int parts;               ///< Number of parts, at least one. Threads take them one at a time.
  double nanoseconds;      ///< About the time that one thread would take. Decides whether to wake sleepers.
  bool backwards = false;  ///< Whether each thread begins with the last of its parts.
};

/// Runs one piece of work on several threads; the caller is one of them. Each thread has a row of consecutive
/// parts, so that it finds the same data in its cache as in the step before. When its parts are done, it
/// helps the others with theirs. The caller waits only for threads that are at work: a thread that comes late
/// finds less to do, or nothing.
class ThreadPool {
 public:
  /// Does part `part` as thread `thread` of the run. Must not throw.
  using Task = void (*)(void* context, int thread, int part);

  /// How long workers spin after a run before they sleep. Also the longest gap between runs of one burst. It
  /// is about the cost of waking a thread on a busy virtual machine, so that spinning in vain costs no more
  /// than sleeping in vain.
  static constexpr std::chrono::microseconds kSpin{100};

  /// A run wakes sleepers when its burst has taken this long, including the run itself. Waking takes 7
  /// microseconds of the caller's time. The worker starts 25 microseconds later, or 100 to 150 if others use
  /// the machine. Measured on an idle machine, waking pays from some 50 microseconds on.
  static constexpr std::chrono::microseconds kWorthWaking{150};

  /// The pool that all optimizers of the process share. It is made on first use and grows as needed.
  static ThreadPool& shared();

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Does every part once, and returns when all are done. If another thread is using the pool, or the pool
  /// cannot start enough threads, the caller does all parts alone, in order.
  void run(const PoolRun& run, Task task, void* context);

  /// The same for a callable: work(thread, part).
  template <class Work>
  void run(const PoolRun& run, Work& work) {
    this->run(
        run, [](void* context, int thread, int part) { (*static_cast<Work*>(context))(thread, part); },
        &work);
  }

  /// Number of workers that do not sleep.
  [[nodiscard]] int awake() const { return awake_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  /// The state of one thread of a run, on cache lines of its own.
  struct alignas(64) Seat {
    std::atomic<std::uint64_t> parts{0};  ///< Parts that are not begun: [lower 32 bits, upper 32 bits).
    alignas(64) std::atomic<unsigned> asleep{0};
  };

  struct Job {
    PoolRun run;
    Task task;
    void* context;
  };

  bool grow(int threads);
  void run_together(const Job& job);
  [[nodiscard]] bool worth_waking(const PoolRun& run);
  void wake(int thread);
  void work(int thread, Seat& seat);
  [[nodiscard]] bool rest(Seat& seat, unsigned seen);
  void join(int thread);
  void do_parts(int thread);
  int next_part(int thread);

  std::atomic<bool> busy_{false};  ///< Not a mutex, because work may call run() and find it taken.
  std::atomic<bool> stopping_{false};
  std::atomic<int> awake_{0};
  std::vector<std::thread> workers_;
  /// One for each thread, the caller's first. Only threads that are inside a run read it.
  std::vector<std::unique_ptr<Seat>> seats_;
  Clock::time_point burst_begin_{};
  Clock::time_point last_end_{};
  // A worker reads the following when a run begins; they are on one cache line.
  alignas(64) std::atomic<unsigned> generation_{0};  ///< Changes when there is something to do.
  std::atomic<unsigned> inside_{0};  ///< Number of workers inside the run, and kOpen if more may enter.
  Job job_{};                        ///< Only threads that are inside the run read it.
};

}  // namespace onepass::cpu
