// cpu_rivals.cpp - limit, copy and baselines on the threads of onepass's own pool.
#include <algorithm>
#include <cstring>

#include "bench/baselines/loops.hpp"
#include "bench/baselines/unfused.hpp"
#include "bench/data/parts.hpp"
#include "bench/limit/traffic.hpp"
#include "bench/rivals.hpp"
#include "host/cpu/threads/thread_pool.hpp"

namespace onepass::bench {
namespace {

/// Allocates memory and writes it once, so that its pages are present.
DeviceBuffer touched(std::size_t bytes) {
  DeviceBuffer buffer(Device::cpu(), bytes);
  fill_zero({Device::cpu(), buffer.data()}, bytes);
  return buffer;
}

std::vector<std::int64_t> sizes_of(std::span<const TensorStreams> streams) {
  std::vector<std::int64_t> sizes;
  for (const TensorStreams& one : streams) sizes.push_back(one.numel);
  return sizes;
}

/// Expected duration of a run, long enough that the pool always wakes its workers. The uncounted calls before
/// a sample have done so already.
constexpr double kNanoseconds = 1e9;

/// Divides the work as onepass divides a step: at most one thread for every 8K elements, and parts of 16K
/// elements, so that the load is even.
cpu::PoolRun cut(const Case& measured) {
  constexpr std::int64_t kChunk = 8 * 1024;
  const std::int64_t chunks = measured.layout.parameters() / kChunk;
  const std::int64_t threads = std::clamp<std::int64_t>(chunks, 1, measured.threads);
  const std::int64_t each = threads == 1 ? 1 : std::max<std::int64_t>(chunks / 2 / threads, 1);
  return {static_cast<int>(threads), static_cast<int>(threads * each), kNanoseconds};
}

class CpuRivals final : public Rivals {
 public:
  explicit CpuRivals(const Scene& scene)
      : scene_(scene),
        run_(cut(scene.measured)),
        shares_(divide(sizes_of(scene.streams), run_.parts)),
        copied_(copied_bytes(scene.traffic, scene.measured.device)),
        copied_from_(touched(copied_)),
        copied_to_(touched(copied_)),
        move_(traffic(scene.measured.isa, kind())),
        loops_(baseline_loops(scene.measured.isa)) {
    if (scene.measured.has_baselines()) prepare_baselines();
  }

  std::vector<Rival> all() override {
    std::vector<Rival> rivals{rival(kLimit, Leaves::memory_as_it_was, &CpuRivals::move_streams),
                              rival(kCopy, Leaves::memory_as_it_was, &CpuRivals::copy_memory)};
    if (scene_.measured.has_baselines()) {
      rivals.push_back(rival(kScalar, Leaves::the_step, &CpuRivals::step_scalar));
      rivals.push_back(rival(kUnfused, Leaves::the_step_rounded, &CpuRivals::step_unfused));
    }
    return rivals;
  }

 private:
  [[nodiscard]] TrafficKind kind() const {
    const FormatChoice& format = *scene_.measured.format;
    const bool low = format.param != DType::float32 && format.grad == format.param;
    return {format_index(format), low, scene_.measured.rule->states()};
  }

  void prepare_baselines() {
    const PlainStep& by_hand = *scene_.measured.rule->by_hand;
    const auto steps = plain_steps();
    numbers_ = by_hand.numbers(kBaselineStep);
    scalar_ = loops_.scalar[std::ranges::find(steps, by_hand.name, &PlainStep::name) - steps.begin()];
    passes_ = unfused_passes(by_hand.name);
    leave_blas_single_threaded();
    const std::vector<std::int64_t> sizes = sizes_of(scene_.streams);
    std::size_t total = 0;
    for (const std::int64_t size : sizes) {
      scratch_at_.push_back(total);
      total += static_cast<std::size_t>(size);
    }
    scratch_ = touched(total * sizeof(float));
  }

  Rival rival(const char* name, Leaves leaves, void (CpuRivals::*work)()) {
    return {{name, [this, work] { (this->*work)(); }}, leaves};
  }

  /// Calls work(part) for each part of each share, on the pool's threads.
  template <class Work>
  void on_parts(const Work& work) const {
    auto task = [&](int /*thread*/, int share) {
      for (const Part& part : shares_[static_cast<std::size_t>(share)]) work(part);
    };
    cpu::ThreadPool::shared().run(run_, task);
  }

  void move_streams() {
    on_parts([this](const Part& part) {
      const std::uint32_t bits = move_(scene_.streams[part.tensor], part.begin, part.end, zero_);
      __asm__ volatile("" ::"r"(bits));  // keeps the reads
    });
  }

  /// Calls memcpy once per thread, because memcpy writes past the cache only if it copies enough at once.
  void copy_memory() {
    const int threads = run_.threads;
    auto task = [this, threads](int /*thread*/, int share) {
      const std::size_t each = copied_ / 64 / static_cast<std::size_t>(threads) * 64;
      const std::size_t begin = each * static_cast<std::size_t>(share);
      const std::size_t end = share + 1 == threads ? copied_ : begin + each;
      std::memcpy(copied_to_.as<std::byte>() + begin, copied_from_.as<std::byte>() + begin, end - begin);
    };
    cpu::ThreadPool::shared().run({threads, threads, kNanoseconds}, task);
  }

  [[nodiscard]] FloatStreams floats(const Part& part) const {
    const TensorStreams& from = scene_.streams[part.tensor];
    const auto at = [&](std::byte* stream) { return reinterpret_cast<float*>(stream) + part.begin; };
    FloatStreams to{at(from.param), at(from.grad), {}};
    for (int s = 0; s < scene_.measured.rule->by_hand->states; ++s) to.states[s] = at(from.states[s]);
    return to;
  }

  void step_scalar() {
    on_parts([this](const Part& part) { scalar_(numbers_, floats(part), part.end - part.begin); });
  }

  void step_unfused() {
    const UnfusedContext context{numbers_, *loops_.passes};
    for (const UnfusedPass pass : passes_) {
      on_parts([&](const Part& part) {
        float* const scratch = scratch_.as<float>() + scratch_at_[part.tensor] + part.begin;
        pass(context, {floats(part), scratch, part.end - part.begin});
      });
    }
  }

  Scene scene_;
  cpu::PoolRun run_;
  std::vector<std::vector<Part>> shares_;  ///< One list for each part of the run.
  std::size_t copied_;
  DeviceBuffer copied_from_, copied_to_;
  Traffic move_;
  Loops loops_;
  plain::Numbers numbers_{};
  ScalarLoop scalar_ = nullptr;
  std::span<const UnfusedPass> passes_;
  DeviceBuffer scratch_;
  std::vector<std::size_t> scratch_at_;  ///< First element of each tensor in the scratch memory.
  volatile std::uint32_t zero_ = 0;      ///< Volatile, so that the compiler does not know that it is 0.
};

}  // namespace

std::unique_ptr<Rivals> cpu_rivals(const Scene& scene) { return std::make_unique<CpuRivals>(scene); }

}  // namespace onepass::bench
