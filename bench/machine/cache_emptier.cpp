// cache_emptier.cpp - every thread reads and writes twice as much memory as the last-level cache holds.
#include "bench/machine/cache_emptier.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "host/cpu/threads/thread_pool.hpp"
#include "onepass/cpu.hpp"

namespace onepass::bench {
namespace {

/// Least bytes per thread, for a last-level cache that is small or reported as small: several times a private
/// cache.
constexpr std::int64_t kLeast = 16 << 20;
/// Another worker may take the part of a worker that is late, which then has walked through nothing: run()
/// tries again, up to this many times in all.
constexpr int kTries = 4;
constexpr std::size_t kCacheLine = 64;
/// Expected duration of a run, long enough that the pool always wakes its workers.
constexpr double kNanoseconds = 1e9;

std::size_t bytes_each() { return static_cast<std::size_t>(std::max(2 * cpu_cache_bytes(), kLeast)); }

/// Writes every cache line, because lines that are only read may bypass a cache. Then reads them once more,
/// so that a step need not write back the lines that it evicts: without that, writing back took 7% of the
/// step's time with one thread and more with two.
void walk(const DeviceBuffer& memory, std::size_t bytes) {
  auto* const words = memory.as<volatile std::uint64_t>();
  constexpr std::size_t kStride = kCacheLine / sizeof(std::uint64_t);
  for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); i += kStride) words[i] = words[i] + 1;
  for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); i += kStride) (void)words[i];
}

}  // namespace

CacheEmptier::CacheEmptier(int threads) {
  for (int i = 0; i < threads; ++i) {
    walks_.emplace_back(Device::cpu(), bytes_each());
    fill_zero({Device::cpu(), walks_.back().data()}, bytes_each());
  }
}

void CacheEmptier::run() {
  std::vector<std::atomic<bool>> came(walks_.size());
  auto task = [&](int thread, int /*part*/) {
    const auto mine = static_cast<std::size_t>(thread);
    walk(walks_[mine], bytes_each());
    came[mine].store(true, std::memory_order_relaxed);
  };
  const auto all_came = [&] { return std::ranges::all_of(came, [](const auto& one) { return one.load(); }); };
  for (int i = 0; i < kTries && !all_came(); ++i) {
    cpu::ThreadPool::shared().run({threads(), threads(), kNanoseconds}, task);
  }
}

double CacheEmptier::bytes(int threads) {
  return static_cast<double>(threads) * static_cast<double>(bytes_each());
}

}  // namespace onepass::bench
