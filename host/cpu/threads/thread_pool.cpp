#include "host/cpu/threads/thread_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <exception>

#include "host/cpu/threads/processors.hpp"

namespace onepass::cpu {
namespace {

std::atomic<bool> is_forked{false};

/// Watches for forks from the moment on that the library is loaded: other libraries may have made threads
/// before the first step.
[[maybe_unused]] const int watching =
    pthread_atfork(nullptr, nullptr, [] { is_forked.store(true, std::memory_order_relaxed); });

double nanoseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::nano>(time).count();
}

}  // namespace

bool forked() { return is_forked.load(std::memory_order_relaxed); }

ThreadPool& ThreadPool::shared() {
  // It lives as long as the process: optimizers may be destroyed after main().
  static ThreadPool* const pool = new ThreadPool;
  return *pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  run_.announce();
  for (int thread = 1; thread <= static_cast<int>(workers_.size()); ++thread) wake(thread);
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::grow(int threads) {
  try {
    run_.grow(threads);
    while (static_cast<int>(beds_.size()) < threads - 1) beds_.push_back(std::make_unique<Bed>());
    for (int number = static_cast<int>(workers_.size()) + 1; number < threads; ++number) {
      Bed& bed = *beds_[static_cast<std::size_t>(number - 1)];
      workers_.emplace_back([this, number, &bed] { work(number, bed); });
      awake_.fetch_add(1, std::memory_order_relaxed);
    }
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

void ThreadPool::run(const Job& job, Learner* learner) {
  const bool alone = job.run.threads <= 1 || forked() || busy_.exchange(true, std::memory_order_acquire);
  if (!alone && grow(job.run.threads)) {
    run_together(job, learner);
  } else {
    do_alone(job);
  }
  if (!alone) busy_.store(false, std::memory_order_release);
}

/// Runs that follow each other closely are one burst. If this run is over before the woken workers come, the
/// next one finds them spinning.
bool ThreadPool::burst_goes_on(Clock::time_point begin) {
  if (begin - last_end_ > kSpin) {
    burst_begin_ = begin;
    burst_runs_ = 0;
  }
  burst_runs_ = std::min(burst_runs_ + 1, kRunsOfOneStep + 1);
  return burst_runs_ > kRunsOfOneStep && begin - burst_begin_ >= kWorthWaking;
}

bool ThreadPool::any_asleep(int threads) const {
  return std::any_of(beds_.begin(), beds_.begin() + (threads - 1), [](const std::unique_ptr<Bed>& bed) {
    return bed->asleep.load(std::memory_order_seq_cst) != 0;
  });
}

void ThreadPool::run_together(const Job& job, Learner* learner) {
  const Clock::time_point begin = Clock::now();
  const bool goes_on = burst_goes_on(begin);
  run_.open(job);
  if (goes_on || !any_asleep(job.run.threads)) learner = nullptr;
  const double expected = job.run.nanoseconds, worth = nanoseconds(kWorthWaking);
  const bool pays = learner != nullptr ? learner->together(expected, worth) : expected >= worth;
  if (goes_on || pays) {
    for (int thread = 1; thread < job.run.threads; ++thread) wake(thread);
  }
  run_.do_own_parts();
  run_.close();
  last_end_ = Clock::now();
  if (learner != nullptr) learner->took(pays, nanoseconds(last_end_ - begin));
}

/// Linux may wake a worker on the caller's processor, if it ran there before, and move it to another one only
/// milliseconds later. So the worker is bound to all other processors before it is woken, and releases itself
/// when it runs.
void ThreadPool::wake(int thread) {
  Bed& bed = *beds_[static_cast<std::size_t>(thread - 1)];
  if (bed.asleep.load(std::memory_order_seq_cst) == 0) return;
  Processors::of_this_thread().others().give_to(
      workers_[static_cast<std::size_t>(thread - 1)].native_handle());
  if (bed.asleep.exchange(0) == 0) return;
  awake_.fetch_add(1, std::memory_order_relaxed);
  bed.asleep.notify_one();
}

void ThreadPool::work(int thread, Bed& bed) {
  const Processors mine = Processors::of_this_thread();
  unsigned seen = 0;
  while (!stopping_.load()) {
    const unsigned now = run_.number(std::memory_order_acquire);
    if (now == seen) {
      if (rest(bed, seen)) mine.give_to_this_thread();
    } else {
      seen = now;
      run_.join(thread);
    }
  }
}

/// Spins for the next run, then sleeps until a run wakes it; runs that wake no workers pass it by. Returns
/// false if a run came while it was spinning.
bool ThreadPool::rest(Bed& bed, unsigned seen) {
  if (spin_until([&] { return run_.number(std::memory_order_acquire) != seen; })) return false;
  bed.asleep.store(1, std::memory_order_seq_cst);
  // Both sides store, then load: either the run sees the sleeper, or the sleeper sees the run.
  if (run_.number(std::memory_order_seq_cst) == seen) {
    awake_.fetch_sub(1, std::memory_order_relaxed);
    bed.asleep.wait(1, std::memory_order_seq_cst);
  } else if (bed.asleep.exchange(0) == 0) {
    awake_.fetch_sub(1, std::memory_order_relaxed);  // wake() has counted one that had not lain down
  }
  return true;
}

}  // namespace onepass::cpu
