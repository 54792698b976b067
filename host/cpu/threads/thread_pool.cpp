#include "host/cpu/threads/thread_pool.hpp"

#include <pthread.h>

#include <exception>

#include "host/cpu/threads/processors.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace onepass::cpu {
namespace {

/// The bit of inside_ that is set while workers may enter the run.
constexpr unsigned kOpen = 1u << 31;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins until done(), at most kSpin. Returns whether it came true. Measures time by the clock, as a pause
/// takes 10 to 140 cycles, depending on the processor.
template <class Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + ThreadPool::kSpin;
  do {
    for (int spins = 0; spins < 32; ++spins) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

/// The parts [begin, end) in one word (Seat::parts).
std::uint64_t row_of(std::uint32_t begin, std::uint32_t end) { return std::uint64_t{end} << 32 | begin; }

/// Takes the first or the last part of a row. Returns -1 if the row is empty.
int take(std::atomic<std::uint64_t>& row, bool first) {
  std::uint64_t old = row.load(std::memory_order_relaxed);
  for (;;) {
    const auto begin = static_cast<std::uint32_t>(old);
    const auto end = static_cast<std::uint32_t>(old >> 32);
    if (begin >= end) return -1;
    const std::uint64_t rest = first ? row_of(begin + 1, end) : row_of(begin, end - 1);
    if (row.compare_exchange_weak(old, rest, std::memory_order_relaxed)) {
      return static_cast<int>(first ? begin : end - 1);
    }
  }
}

/// True in a process that was forked: a child does not have the threads of its parent.
std::atomic<bool> forked{false};

}  // namespace

ThreadPool& ThreadPool::shared() {
  static ThreadPool* const pool = [] {
    pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
    return new ThreadPool;  // lives as long as the process: optimizers may be destroyed after main()
  }();
  return *pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  for (int thread = 1; thread <= static_cast<int>(workers_.size()); ++thread) wake(thread);
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::grow(int threads) {
  try {
    while (static_cast<int>(seats_.size()) < threads) seats_.push_back(std::make_unique<Seat>());
    for (int number = static_cast<int>(workers_.size()) + 1; number < threads; ++number) {
      Seat& seat = *seats_[static_cast<std::size_t>(number)];
      workers_.emplace_back([this, number, &seat] { work(number, seat); });
      awake_.fetch_add(1, std::memory_order_relaxed);
    }
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

void ThreadPool::run(const PoolRun& run, Task task, void* context) {
  const bool alone = run.threads <= 1 || forked.load(std::memory_order_relaxed) ||
                     busy_.exchange(true, std::memory_order_acquire);
  if (!alone && grow(run.threads)) {
    run_together({run, task, context});
  } else {
    for (int done = 0; done < run.parts; ++done) {
      task(context, 0, run.backwards ? run.parts - 1 - done : done);
    }
  }
  if (!alone) busy_.store(false, std::memory_order_release);
}

/// Runs that follow each other closely are one burst. A burst that has lasted is expected to go on: if this
/// run is over before the woken workers come, the next one finds them spinning.
bool ThreadPool::worth_waking(const PoolRun& run) {
  const Clock::time_point now = Clock::now();
  if (now - last_end_ > kSpin) burst_begin_ = now;
  return now - burst_begin_ + std::chrono::duration<double, std::nano>(run.nanoseconds) >= kWorthWaking;
}

void ThreadPool::run_together(const Job& job) {
  const PoolRun& run = job.run;
  job_ = job;
  const auto boundary = [&](int thread) {
    return static_cast<std::uint32_t>(std::int64_t{run.parts} * thread / run.threads);
  };
  for (int thread = 0; thread < run.threads; ++thread) {
    seats_[static_cast<std::size_t>(thread)]->parts.store(row_of(boundary(thread), boundary(thread + 1)),
                                                          std::memory_order_relaxed);
  }
  inside_.fetch_or(kOpen, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (worth_waking(run)) {
    for (int thread = 1; thread < run.threads; ++thread) wake(thread);
  }
  do_parts(0);
  inside_.fetch_and(~kOpen, std::memory_order_relaxed);
  // If there are more threads than processors, the last worker may be waiting for this thread's processor.
  const auto nobody = [&] { return inside_.load(std::memory_order_acquire) == 0; };
  if (!spin_until(nobody)) {
    while (!nobody()) std::this_thread::yield();
  }
  last_end_ = Clock::now();
}

/// Linux may wake a worker on the caller's processor, if it ran there before, and move it to another one only
/// milliseconds later. So the worker is bound to all other processors before it is woken, and releases itself
/// when it runs.
void ThreadPool::wake(int thread) {
  Seat& seat = *seats_[static_cast<std::size_t>(thread)];
  if (seat.asleep.load(std::memory_order_seq_cst) == 0) return;
  Processors::of_this_thread().others().give_to(
      workers_[static_cast<std::size_t>(thread - 1)].native_handle());
  if (seat.asleep.exchange(0) == 0) return;
  awake_.fetch_add(1, std::memory_order_relaxed);
  seat.asleep.notify_one();
}

void ThreadPool::work(int thread, Seat& seat) {
  const Processors mine = Processors::of_this_thread();
  unsigned seen = 0;
  while (!stopping_.load()) {
    const unsigned now = generation_.load(std::memory_order_acquire);
    if (now == seen) {
      if (rest(seat, seen)) mine.give_to_this_thread();
    } else {
      seen = now;
      join(thread);
    }
  }
}

/// Spins for the next run, then sleeps until a run wakes it; runs that wake no workers pass it by. Returns
/// false if a run came while it was spinning.
bool ThreadPool::rest(Seat& seat, unsigned seen) {
  if (spin_until([&] { return generation_.load(std::memory_order_acquire) != seen; })) return false;
  seat.asleep.store(1, std::memory_order_seq_cst);
  // Both sides store, then load: either the run sees the sleeper, or the sleeper sees the run.
  if (generation_.load(std::memory_order_seq_cst) == seen) {
    awake_.fetch_sub(1, std::memory_order_relaxed);
    seat.asleep.wait(1, std::memory_order_seq_cst);
  } else if (seat.asleep.exchange(0) == 0) {
    awake_.fetch_sub(1, std::memory_order_relaxed);  // wake() has counted one that had not lain down
  }
  return true;
}

/// Works on the run, unless it is over: then its memory may be gone, and the worker must not touch it. A run
/// that is not over waits for the workers that have entered.
void ThreadPool::join(int thread) {
  const unsigned before = inside_.fetch_add(1, std::memory_order_acquire);
  if ((before & kOpen) != 0 && thread < job_.run.threads) do_parts(thread);
  inside_.fetch_sub(1, std::memory_order_release);
}

void ThreadPool::do_parts(int thread) {
  for (int part = next_part(thread); part >= 0; part = next_part(thread)) {
    job_.task(job_.context, thread, part);
  }
}

/// Takes the next of the thread's own parts. If there are none left, takes a part of another thread: the one
/// that the other thread would come to last.
int ThreadPool::next_part(int thread) {
  const int threads = job_.run.threads;
  for (int other = 0; other < threads; ++other) {
    Seat& seat = *seats_[static_cast<std::size_t>((thread + other) % threads)];
    const int part = take(seat.parts, (other == 0) != job_.run.backwards);
    if (part >= 0) return part;
  }
  return -1;
}

}  // namespace onepass::cpu
