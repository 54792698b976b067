// thread_pool.hpp - threads that wait for the next step.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace onepass::cpu {

/// What a run of the pool consists of.
struct PoolRun {
  int threads;             ///< At most so many work on it, the caller among them.
  int parts;               ///< Handed out one at a time; at least one.
  double nanoseconds;      ///< About what all of it takes one thread. Decides whether sleepers are woken.
  bool backwards = false;  ///< Each thread begins with the last of its parts.
};

/// Runs one piece of work on several threads; the caller is one of them. Each has a row of consecutive parts
/// of its own, so that it finds in its cache what it left there, and when those are done helps the others
/// with theirs. Nobody is waited for but those who are at work: who comes late finds less to do, or nothing.
class ThreadPool {
 public:
  /// Does part `part` as thread `thread` of the run. Must not throw.
  using Task = void (*)(void* context, int thread, int part);

  /// How long workers spin after a run before they sleep, and so how close runs must follow each other to
  /// count as one burst: about what waking costs on a busy virtual machine, so that spinning in vain costs no
  /// more than sleeping in vain.
  static constexpr std::chrono::microseconds kSpin{100};

  /// A sleeper is woken when a burst has taken so long, this run included. Waking takes 7 microseconds of the
  /// caller's time, and the worker comes 25 later, 100 to 150 where others use the machine; measured, it pays
  /// from some 50 on where nobody does.
  static constexpr std::chrono::microseconds kWorthWaking{150};

  /// The pool that all optimizers of the process share. Made on first use; grows as needed.
  static ThreadPool& shared();

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Does every part once and returns when all are done. Where another thread is using the pool just now, or
  /// it cannot have so many threads, the caller does all of it alone, in order.
  void run(const PoolRun& run, Task task, void* context);

  template <class Work>
  void run(const PoolRun& run, Work& work) {
    this->run(
        run, [](void* context, int thread, int part) { (*static_cast<Work*>(context))(thread, part); },
        &work);
  }

  /// Workers that do not sleep.
  [[nodiscard]] int awake() const { return awake_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  /// What belongs to one thread of a run, on cache lines of its own.
  struct alignas(64) Seat {
    std::atomic<std::uint64_t> parts{0};  ///< Not begun: [low half, high half).
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

  std::atomic<bool> busy_{false};  ///< Not a mutex: work within work asks for it again.
  std::atomic<bool> stopping_{false};
  std::atomic<int> awake_{0};
  std::vector<std::thread> workers_;
  std::vector<std::unique_ptr<Seat>> seats_;  ///< One a thread, the caller's first. For those inside.
  Clock::time_point burst_begin_{};
  Clock::time_point last_end_{};
  // What a worker reads when a run begins, on one cache line.
  alignas(64) std::atomic<unsigned> generation_{0};  ///< Moves when there is something to do.
  std::atomic<unsigned> inside_{0};                  ///< Workers that look at the job; kOpen: they may.
  Job job_{};                                        ///< For those inside.
};

}  // namespace onepass::cpu
