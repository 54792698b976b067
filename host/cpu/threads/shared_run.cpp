#include "host/cpu/threads/shared_run.hpp"

#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace onepass::cpu {
namespace {

/// The bit of inside_ that is set while threads may enter.
constexpr unsigned kOpen = 1u << 31;

/// The parts [begin, end) in one word (Row::parts).
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

}  // namespace

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void do_alone(const Job& job) {
  const int parts = job.run.parts;
  for (int done = 0; done < parts; ++done) {
    job.task(job.context, 0, job.run.backwards ? parts - 1 - done : done);
  }
}

void SharedRun::grow(int threads) {
  if (threads <= room_) return;
  rows_ = std::make_unique<Row[]>(static_cast<std::size_t>(threads));
  room_ = threads;
}

void SharedRun::open(const Job& job) {
  job_ = job;
  const int threads = job.run.threads;
  const auto boundary = [&](int thread) {
    return static_cast<std::uint32_t>(std::int64_t{job.run.parts} * thread / threads);
  };
  for (int thread = 0; thread < threads; ++thread) {
    Row& row = rows_[static_cast<std::size_t>(thread)];
    row.parts.store(row_of(boundary(thread), boundary(thread + 1)), std::memory_order_relaxed);
    row.joined.store(false, std::memory_order_relaxed);
  }
  inside_.fetch_or(kOpen, std::memory_order_release);
  announce();
}

void SharedRun::join(int thread) {
  const unsigned before = inside_.fetch_add(1, std::memory_order_acquire);
  if ((before & kOpen) != 0 && thread >= 0 && thread < job_.run.threads &&
      !rows_[static_cast<std::size_t>(thread)].joined.exchange(true, std::memory_order_relaxed)) {
    do_parts(thread);
  }
  inside_.fetch_sub(1, std::memory_order_release);
}

void SharedRun::close() {
  inside_.fetch_and(~kOpen, std::memory_order_relaxed);
  // If there are more threads than processors, the last thread may be waiting for this thread's processor.
  const auto nobody = [&] { return inside_.load(std::memory_order_acquire) == 0; };
  if (!spin_until(nobody)) {
    while (!nobody()) std::this_thread::yield();
  }
  do_parts(0);
}

void SharedRun::do_parts(int thread) {
  for (int part = next_part(thread); part >= 0; part = next_part(thread)) {
    job_.task(job_.context, thread, part);
  }
}

/// Takes the next of the thread's own parts. If there are none left, takes a part of another thread: the one
/// that the other thread would come to last.
int SharedRun::next_part(int thread) {
  const int threads = job_.run.threads;
  for (int other = 0; other < threads; ++other) {
    Row& row = rows_[static_cast<std::size_t>((thread + other) % threads)];
    const int part = take(row.parts, (other == 0) != job_.run.backwards);
    if (part >= 0) return part;
  }
  return -1;
}

}  // namespace onepass::cpu
