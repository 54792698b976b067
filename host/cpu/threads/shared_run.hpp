// shared_run.hpp - one piece of work that several threads do together, each when it comes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

namespace onepass::cpu {

/// One piece of work.
struct PoolRun {
  int threads;             ///< Most threads that work on it, including the caller.
  int parts;               ///< Number of parts, at least one. Threads take them one at a time.
  double nanoseconds;      ///< About the time that one thread would take.
  bool backwards = false;  ///< Whether each thread begins with the last of its parts.
};

/// Does part `part` as thread `thread` of the run. Must not throw.
using Task = void (*)(void* context, int thread, int part);

/// A piece of work and what does a part of it.
struct Job {
  PoolRun run;
  Task task;
  void* context;
};

/// Returns the job of calling work(thread, part) for every part. `work` must outlive it.
template <class Work>
Job job_of(const PoolRun& run, Work& work) {
  const Task task = [](void* context, int thread, int part) { (*static_cast<Work*>(context))(thread, part); };
  return {run, task, &work};
}

/// Does all parts in the calling thread, in order, as thread 0.
void do_alone(const Job& job);

/// The parts of one job after another. Each thread has a row of consecutive parts, so that it finds the same
/// data in its cache as in the step before. When its row is done, it helps the others with theirs. So the job
/// gets done whichever threads come: a thread that comes late finds less to do, or nothing, and the caller
/// waits only for threads that are at work.
class SharedRun {
 public:
  /// How long a thread spins before it lets others run.
  static constexpr std::chrono::microseconds kSpin{100};

  /// Makes room for a number of threads. No thread may be inside. Throws std::bad_alloc.
  void grow(int threads);

  /// Begins a job of at most as many threads as there is room for, and changes number().
  void open(const Job& job);

  /// Does parts of the job as thread `thread`, until no part is left. Does nothing if no job is open: then
  /// its memory may be gone. Does nothing if the job has no such thread, or if that thread was here before.
  void join(int thread);

  /// Does parts as thread 0, in the thread that has opened the job, until no part is left.
  void do_own_parts() { do_parts(0); }

  /// Lets no more threads in, waits for those inside, and does the parts that no thread has come for.
  void close();

  /// Changes with every job.
  [[nodiscard]] unsigned number(std::memory_order order) const { return number_.load(order); }

  /// Changes number() without a job.
  void announce() { number_.fetch_add(1, std::memory_order_seq_cst); }

 private:
  /// The parts of one thread, on a cache line of its own.
  struct alignas(64) Row {
    std::atomic<std::uint64_t> parts{0};  ///< Parts that are not begun: [lower 32 bits, upper 32 bits).
    std::atomic<bool> joined{false};
  };

  void do_parts(int thread);
  int next_part(int thread);

  std::unique_ptr<Row[]> rows_;  ///< Only threads that are inside read them.
  int room_ = 0;
  // A worker reads the following when a job begins; they are on one cache line.
  alignas(64) std::atomic<unsigned> number_{0};
  std::atomic<unsigned> inside_{0};  ///< Number of threads inside, and kOpen if more may enter.
  Job job_{};                        ///< Only threads that are inside read it.
};

/// Tells the processor that the thread is waiting in a loop.
void pause();

/// Spins until done(), at most SharedRun::kSpin. Returns whether it came true. Measures time by the clock, as
/// a pause takes 10 to 140 cycles, depending on the processor.
template <class Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + SharedRun::kSpin;
  do {
    for (int spins = 0; spins < 32; ++spins) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace onepass::cpu
