// cache_emptier.cpp - every thread reads and writes twice as much as a cache holds.
#include "bench/machine/cache_emptier.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "host/cpu/threads/thread_pool.hpp"
#include "onepass/cpu.hpp"

namespace onepass::bench {
namespace {

/// Where the last cache is small, or said to be: several times a private one.
constexpr std::int64_t kLeast = 16 << 20;
/// A worker that is late finds its part done by another, and has then walked through nothing.
constexpr int kTries = 4;
constexpr std::size_t kCacheLine = 64;
/// Sleepers are woken, however short the work.
constexpr double kNanoseconds = 1e9;

std::size_t bytes_each() { return static_cast<std::size_t>(std::max(2 * cpu_cache_bytes(), kLeast)); }

/// Writes, for what is only read may pass a cache by. Reads once more, so that what a step then drives out
/// need not be written back in the step's time: measured, that took 7% of it with one thread, and more with
/// two.
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
