#include "host/cpu/threads/thread_pool.hpp"

#include <pthread.h>

#include <exception>

#include "host/cpu/threads/processors.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace onepass::cpu {
namespace {

constexpr unsigned kOpen = 1u << 31;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Whether `done` came true within kSpin. By the clock, for a pause is 10 to 140 cycles.
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

std::uint64_t row_of(std::uint32_t begin, std::uint32_t end) { return std::uint64_t{end} << 32 | begin; }

/// Takes the first or the last part of a row; -1 if there is none.
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

/// A forked child has none of the parent's threads.
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

/// Runs that follow each other closely are one burst, and one that has lasted will go on: its next run finds
/// the woken spinning, even if this one is over before they come.
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
  // Where there are more threads than processors, the last worker may be waiting for this one's.
  const auto nobody = [&] { return inside_.load(std::memory_order_acquire) == 0; };
  if (!spin_until(nobody)) {
    while (!nobody()) std::this_thread::yield();
  }
  last_end_ = Clock::now();
}

/// Linux may wake a worker on the caller's processor, if it ran there before, and moves it only milliseconds
/// later. So it is woken for the others, and takes back what it may have when it has come.
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

/// Spins, then sleeps until it is woken; runs for which nobody is woken go by. Whether it lay down.
bool ThreadPool::rest(Seat& seat, unsigned seen) {
  if (spin_until([&] { return generation_.load(std::memory_order_acquire) != seen; })) return false;
  seat.asleep.store(1, std::memory_order_seq_cst);
  // A run sees a sleeper, or the sleeper sees the run.
  if (generation_.load(std::memory_order_seq_cst) == seen) {
    awake_.fetch_sub(1, std::memory_order_relaxed);
    seat.asleep.wait(1, std::memory_order_seq_cst);
  } else if (seat.asleep.exchange(0) == 0) {
    awake_.fetch_sub(1, std::memory_order_relaxed);  // wake() has counted one that had not lain down
  }
  return true;
}

/// A run that is over is left alone: its memory may be gone. One that is not over waits for who has entered.
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

/// The next of the thread's own, or of another's the one that it would come to last.
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
