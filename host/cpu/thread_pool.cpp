#include "host/cpu/thread_pool.hpp"

#include <pthread.h>

#include <system_error>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace onepass::cpu {
namespace {

/// About 10 microseconds: longer than the serial part between two steps of a tight loop, and short enough to
/// leave the processor to others while gradients are computed.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// A forked child has none of the parent's threads: waiting for them would never end.
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
  stopping_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::grow(int threads) {
  while (static_cast<int>(workers_.size()) < threads - 1) {
    try {
      const unsigned seen = generation_.load(std::memory_order_relaxed);
      const int number = static_cast<int>(workers_.size()) + 1;
      workers_.emplace_back([this, number, seen] { work(number, seen); });
    } catch (const std::system_error&) {
      return false;
    }
    worker_count_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  }
  return true;
}

bool ThreadPool::awake(int threads) const {
  return worker_count_.load(std::memory_order_relaxed) >= threads - 1 &&
         asleep_.load(std::memory_order_relaxed) == 0;
}

void ThreadPool::run(int threads, Task task, void* context) {
  const bool alone = threads <= 1 || forked.load(std::memory_order_relaxed) ||
                     busy_.exchange(true, std::memory_order_acquire);
  if (!alone && grow(threads)) {
    run_together({task, context, threads});
  } else {
    for (int thread = 0; thread < threads; ++thread) task(context, thread, threads);
  }
  if (!alone) busy_.store(false, std::memory_order_release);
}

void ThreadPool::run_together(const Job& job) {
  job_ = job;
  // Every worker answers every generation, used or not: none may still be reading a job when the next is set.
  unfinished_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();
  job.task(job.context, 0, job.threads);
  // Where there are more threads than processors, the last worker may be waiting for this one's.
  for (int spins = 0; unfinished_.load(std::memory_order_acquire) > 0; ++spins) {
    spins < kSpins ? pause() : std::this_thread::yield();
  }
}

void ThreadPool::work(int thread, unsigned seen) {
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        pause();
      } else {
        asleep_.fetch_add(1, std::memory_order_seq_cst);
        generation_.wait(seen, std::memory_order_seq_cst);
        asleep_.fetch_sub(1, std::memory_order_seq_cst);
      }
    }
    ++seen;
    if (stopping_) return;
    if (thread < job_.threads) job_.task(job_.context, thread, job_.threads);
    unfinished_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace onepass::cpu
