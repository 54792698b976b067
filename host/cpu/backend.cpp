// backend.cpp - the CPU backend: one dispatch to the threads for a whole model.
#include "host/backend.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "host/cpu/float_environment.hpp"
#include "host/cpu/thread_pool.hpp"
#include "host/plan.hpp"
#include "kernels/advance.hpp"
#include "onepass/error.hpp"

namespace onepass {
namespace {

/// Elements below which another thread costs more than it brings: while the workers still spin, and when one
/// has to be woken first. Measured on 2 cores (fork and join 1 microsecond, a wake-up 100 to 150).
constexpr std::int64_t kHotElements = 16 * 1024;
constexpr std::int64_t kColdElements = 2 * 1024 * 1024;
constexpr std::int64_t kElementsEach = 8 * 1024;

/// Steps that follow each other so soon are worth waking the workers for: the next one finds them spinning.
using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kSoon{50};

/// 32 KiB of each stream: small enough to balance two threads, large enough to hide the 20 ns around a chunk.
constexpr std::int64_t kChunkSize = 8 * 1024;

class CpuBackend final : public Backend {
 public:
  CpuBackend(const RuleOps& ops, cpu::Sweep sweep, int threads)
      : ops_(ops), sweep_(sweep), threads_(threads) {}

  std::int64_t default_chunk_size() const override { return kChunkSize; }

  void plan(std::span<const std::int64_t> offsets) override {
    offsets_.assign(offsets.begin(), offsets.end());
  }

  void step(const kernels::Table& table, Stream /*stream*/) override {
    {
      const cpu::DefaultFloatEnvironment environment;
      ops_.prepare(table);
    }
    on_threads([&](ChunkRange share) {
      const cpu::DefaultFloatEnvironment environment;
      sweep_(table, share.first, share.last);
    });
  }

  void zero_grad(const kernels::Table& table, Stream /*stream*/) override {
    on_threads([&](ChunkRange share) {
      for (std::int64_t c = share.first; c < share.last; ++c) {
        const kernels::Chunk chunk = table.chunks[c];
        const kernels::Extent part = kernels::extent(table, chunk);
        float* const grad = static_cast<float*>(table.grads[chunk.tensor]);
        if (grad != nullptr)
          std::memset(grad + part.begin, 0, static_cast<std::size_t>(part.count) * sizeof(float));
      }
    });
  }

  void write(void* to, std::span<const std::byte> bytes, Stream /*stream*/) override {
    std::memcpy(to, bytes.data(), bytes.size());
  }

  void wait() noexcept override {}

 private:
  template <class Work>
  void on_threads(const Work& work) {
    cpu::ThreadPool& pool = cpu::ThreadPool::shared();
    const std::int64_t total = offsets_.back();
    const bool hot = pool.awake(threads_) || Clock::now() - last_end_ < kSoon;
    const bool worthwhile = total >= (hot ? kHotElements : kColdElements);
    const int threads =
        worthwhile ? static_cast<int>(std::clamp<std::int64_t>(total / kElementsEach, 1, threads_)) : 1;
    auto task = [&](int thread, int count) { work(share_of(offsets_, thread, count)); };
    pool.run(threads, task);
    last_end_ = Clock::now();
  }

  const RuleOps& ops_;
  cpu::Sweep sweep_;
  int threads_;
  std::vector<std::int64_t> offsets_{0};
  Clock::time_point last_end_{};
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const BackendRequest& request) {
  const Options& options = request.options;
  const Isa isa = options.isa == Isa::best ? best_isa() : options.isa;
  const cpu::Sweep sweep = request.ops.variants[request.variant].sweeps[static_cast<std::size_t>(isa)];
  if (sweep == nullptr || !isa_available(isa)) {
    throw InvalidArgument("onepass: Options::isa asks for " + std::string(to_string(isa)) +
                          ", which this machine or this build does not have");
  }
  if (options.threads < 0) {
    throw InvalidArgument("onepass: Options::threads must be 0 (all there are) or more, but is " +
                          std::to_string(options.threads));
  }
  const int threads = options.threads == 0 ? cpu_threads() : options.threads;
  return std::make_unique<CpuBackend>(request.ops, sweep, threads);
}

}  // namespace onepass
