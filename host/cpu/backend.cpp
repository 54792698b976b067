// backend.cpp - the CPU backend. A step hands the chunks of a whole model to the threads at once.
#include "host/backend/backend.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "host/backend/plan.hpp"
#include "host/cpu/isa.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "host/cpu/streams.hpp"
#include "host/cpu/threads/float_environment.hpp"
#include "host/cpu/threads/learner.hpp"
#include "host/cpu/threads/parallel.hpp"
#include "host/cpu/threads/team.hpp"
#include "onepass/error.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"

namespace onepass {
namespace {

/// About the time of one element: AdamW of float32 in cache. SGD takes a third of it. AVX2 and quantised
/// states take several times as much, so that for them more threads pay sooner than this says.
constexpr double kNanosecondsAnElement = 0.25;

/// 32 KiB of each float32 stream: small enough to balance two threads, large enough to hide the 20 ns around
/// a chunk.
constexpr std::int64_t kChunkSize = 8 * 1024;

/// A step that moves more than this many times the size of the cache leaves nothing in it for the next
/// reader.
constexpr double kTimesCache = 4.0;

/// The instruction set that a backend steps with.
struct CpuLoops {
  Isa compiled;  ///< The level that the loops are compiled for.
  const cpu::TableLoops& table;
  bool has_bf16_instruction;  ///< As in cpu::Stores.
};

/// A run of chunks, and how they are updated: by a fused loop, or, if there is none, in stages.
struct PlannedRun {
  cpu::UpdateLoop fused;
  const cpu::StagedLoops* staged;
  ChunkRange chunks;
};

/// Work that threads share, and where it is cut into parts. Computed once for all steps: searching for each
/// part's chunks in every step would take a twentieth of the step's time.
struct SharedWork {
  cpu::PoolRun run{1, 1, 0.0};
  std::vector<std::int64_t> firsts{0, 0};  ///< The return value of cut_into_shares().

  static SharedWork of(std::span<const std::int64_t> offsets, int threads) {
    const double nanoseconds = kNanosecondsAnElement * static_cast<double>(offsets.back());
    const cpu::PoolRun run = cpu::cut(nanoseconds, std::ssize(offsets) - 1, threads);
    return {run, cut_into_shares(offsets, run.parts)};
  }
  [[nodiscard]] ChunkRange part(int part) const {
    const auto at = static_cast<std::size_t>(part);
    return {firsts[at], firsts[at + 1]};
  }
};

/// The measures of each thread: one for each group, of which the first also serves for all groups together.
/// The last one of a thread is a gap that keeps the next thread's on other cache lines.
class Partials {
 public:
  explicit Partials(std::size_t threads) : threads_(threads) {}

  void resize(std::size_t groups) {
    groups_ = groups;
    all_.resize(threads_ * (groups + 1));
  }
  void clear() { std::ranges::fill(all_, step::Reduction::none()); }
  [[nodiscard]] step::Reduction* of(int thread) {
    return all_.data() + static_cast<std::size_t>(thread) * (groups_ + 1);
  }
  /// Adds the measures of one group to a result.
  void add_to(step::Reduction& result, std::size_t group) {
    for (std::size_t thread = 0; thread < threads_; ++thread) {
      step::add(result, of(static_cast<int>(thread))[group]);
    }
  }
  [[nodiscard]] std::size_t groups() const { return groups_; }

 private:
  static_assert(sizeof(step::Reduction) >= 64);

  std::size_t threads_;
  std::size_t groups_ = 0;
  std::vector<step::Reduction> all_;
};

/// One learner for each kind of work that the backend does again and again.
struct Learners {
  cpu::Learner update, measure, zero, accumulate, norm, penalty;
};

/// The work of a step over all tensors, or over a part of them.
struct CpuWork final : PlannedWork {
  std::vector<PreparedRule> rules;
  std::vector<PlannedRun> runs;
  SharedWork chunks, pieces;
  Learners learners;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const CpuLoops& loops, int threads, const Options& options)
      : loops_(loops),
        threads_(threads),
        team_(options.pool == Pool::best ? best_pool() : options.pool, options.parallel_for),
        stores_{cpu::Writes::through_cache, loops.has_bf16_instruction, false},
        partials_(static_cast<std::size_t>(threads)) {
    team_.reserve(threads);
  }

  std::int64_t default_chunk_size() const override { return kChunkSize; }

  void start(const step::Table& table, const WorkPlan& plan, const NewTensors& added) override {
    const auto make = [&](ChunkRange share, int /*thread*/) {
      for (std::int64_t c = share.first; c < share.last; ++c) {
        if (table.chunks[c].tensor < added.first) continue;
        cpu::zero_streams(table, table.chunks[c]);
        loops_.table.copy_params(table, table.chunks[c]);
      }
    };
    cpu::zero_scalars(table, added.first);
    on_threads(SharedWork::of(plan.chunks, threads_), make, nullptr);
    team_.rethrow();
  }

  void load(const step::Table& table, std::span<const std::vector<SavedStream>> saved,
            Stream /*stream*/) override {
    const auto copy = [&](ChunkRange share, int /*thread*/) {
      for (std::int64_t c = share.first; c < share.last; ++c) {
        cpu::load_streams(table.chunks[c], saved[table.chunks[c].tensor]);
      }
    };
    on_threads(work_->chunks, copy, nullptr);
    team_.rethrow();
  }

  void plan(const WorkPlan& plan) override {
    work_ = work_of(plan);
    has_followers_ = plan.has_followers;
    partials_.resize(plan.groups);
    const bool past_cache = plan.bytes > kTimesCache * static_cast<double>(cache_bytes_);
    stores_.unread = past_cache ? cpu::Writes::past_cache : cpu::Writes::through_cache;
    stores_.fetches_ahead = past_cache;
  }

  void step(const step::Table& table, std::optional<step::Measure> norm, Stream /*stream*/) override {
    step_work(table, norm, *work_);
  }

  std::unique_ptr<PlannedWork> plan_part(const WorkPlan& plan) override { return work_of(plan); }
  void step_part(const step::Table& table, std::optional<step::Measure> norm, PlannedWork& work,
                 Stream /*stream*/) override {
    step_work(table, norm, static_cast<CpuWork&>(work));
  }
  void end_round(const step::Table& table, Stream /*stream*/) override {
    const cpu::DefaultFloatEnvironment environment;
    step::end_round_of_groups(table, 0, 1);
    step::end_round(table);
  }
  bool is_capturing(Stream /*stream*/) const override { return false; }

  void measure(const step::Table& table, step::Measure norm, const step::ShardMeasure& to,
               Stream /*stream*/) override {
    measure_gradients(table, norm, *work_);
    step::give_measure(table, to, 0, 1);
    team_.rethrow();
  }

  void take_measure(const step::Table& table, const step::ShardMeasure& from, Stream /*stream*/) override {
    step::take_measure(table, from, 0, 1);
  }

  void zero_grad(const step::Table& table, Stream /*stream*/) override {
    const auto zero = [&](ChunkRange share, int /*thread*/) {
      for (std::int64_t c = share.first; c < share.last; ++c) {
        const step::Chunk& chunk = table.chunks[c];
        const step::Extent part = chunk.extent();
        void* const grad = step::callers_gradients(table)[chunk.tensor];
        if (grad == nullptr) continue;
        const auto size = static_cast<std::int64_t>(size_of(table.tensors[chunk.tensor].incoming_type));
        std::memset(static_cast<std::byte*>(grad) + part.begin * size, 0,
                    static_cast<std::size_t>(part.count * size));
      }
    };
    on_threads(work_->chunks, zero, &work_->learners.zero);
    team_.rethrow();
  }

  void accumulate(const step::Table& table, const step::MicroBatch& batch, Stream /*stream*/) override {
    const cpu::DefaultFloatEnvironment environment;
    if (batch.drops_nonfinite != 0) {
      reduce(step::with_incoming_measured(table), step::Measure::largest, *work_, work_->learners.norm,
             table.control->gradients);
    }
    const float factor = step::factor_of(table, batch);
    const auto add = [&](ChunkRange share, int /*thread*/) {
      loops_.table.accumulate(table, factor, share.first, share.last, stores_);
    };
    on_threads(work_->chunks, add, &work_->learners.accumulate);
    step::count_micro_batch(table, batch, factor, 0, 1);
    team_.rethrow();
  }

  void penalty(const step::Table& table, Stream /*stream*/) override {
    reduce(table, step::Measure::penalty, *work_, work_->learners.penalty, table.control->penalty);
    team_.rethrow();
  }

  void write(void* to, std::span<const std::byte> bytes, Stream /*stream*/) override {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());  // memcpy takes no null pointer
  }

  void fetch(const double* number, Stream /*stream*/) override { fetched_ = *number; }
  double fetched() const override { return fetched_; }

  void wait() noexcept override {}

 private:
  [[nodiscard]] std::unique_ptr<CpuWork> work_of(const WorkPlan& plan) const {
    auto work = std::make_unique<CpuWork>();
    work->rules = plan.rules;
    for (const ProgramRun& run : plan.runs) work->runs.push_back(planned(plan.programs[run.program], run));
    work->chunks = SharedWork::of(plan.chunks, threads_);
    work->pieces = SharedWork::of(plan.pieces, threads_);
    return work;
  }

  void step_work(const step::Table& table, std::optional<step::Measure> norm, CpuWork& work) {
    if (norm) measure_gradients(table, *norm, work);
    {
      const cpu::DefaultFloatEnvironment environment;
      prepare(table, work.rules);
    }
    if (table.sweeps == 0) take_sums(table, work);
    on_threads(
        work.chunks, [&](ChunkRange share, int /*thread*/) { update(table, work.runs, share); },
        &work.learners.update);
    team_.rethrow();
  }

  /// Takes the sums over tensors, for rules that do, and completes the coefficients with them.
  void take_sums(const step::Table& table, CpuWork& work) {
    const auto takes = [](const PreparedRule& rule) { return rule.ops->cpu_finish != nullptr; };
    if (std::ranges::none_of(work.rules, takes)) return;
    on_threads(
        work.chunks, [&](ChunkRange share, int /*thread*/) { measure_chunks(table, work.runs, share); },
        &work.learners.measure);
    const cpu::DefaultFloatEnvironment environment;
    step::Table part = table;
    for (const PreparedRule& rule : work.rules) {
      part.prepares = rule.number;
      if (takes(rule)) rule.ops->cpu_finish(part);
    }
  }

  [[nodiscard]] PlannedRun planned(const Program& program, const ProgramRun& run) const {
    const cpu::VariantLoops& loops = *program.variant->cpu_loops[static_cast<std::size_t>(loops_.compiled)];
    return {loops.fused_for(program.format), &loops.staged, {run.first, run.first + run.count}};
  }

  /// Prepares the tensors of each type of rule. The last type's call counts the step.
  static void prepare(const step::Table& table, const std::vector<PreparedRule>& rules) {
    step::Table part = table;
    for (const PreparedRule& rule : rules) {
      part.prepares = rule.number;
      part.concludes = &rule == &rules.back() ? 1 : 0;
      rule.ops->cpu_prepare(part);
    }
  }

  /// Calls work(run, chunks of it) for each run that has chunks in a share.
  template <class Work>
  static void over_runs(const std::vector<PlannedRun>& runs, ChunkRange share, const Work& work) {
    for (const PlannedRun& run : runs) {
      const std::int64_t first = std::max(share.first, run.chunks.first);
      const std::int64_t last = std::min(share.last, run.chunks.last);
      if (first < last) work(run, ChunkRange{first, last});
    }
  }

  /// Updates the chunks of one share.
  void update(const step::Table& table, const std::vector<PlannedRun>& runs, ChunkRange share) const {
    over_runs(runs, share, [&](const PlannedRun& run, ChunkRange range) { update(table, run, range); });
  }

  /// Adds the chunks of one share to the sums over their tensors.
  void measure_chunks(const step::Table& table, const std::vector<PlannedRun>& runs, ChunkRange share) const {
    over_runs(runs, share, [&](const PlannedRun& run, ChunkRange range) {
      if (run.staged->sums == 0) return;
      loops_.table.measure_staged(table, *run.staged, range.first, range.last, stores_);
    });
  }

  /// Returns whether this step settles the states of any tensor among the chunks.
  static bool settles(const step::Table& table, ChunkRange range) {
    const auto* const chunks = table.chunks;
    return std::any_of(chunks + range.first, chunks + range.last,
                       [&](const step::Chunk& chunk) { return step::step_of(table, chunk.tensor).settles; });
  }

  /// Updates the chunks of one run. Settles states before, and moves averages and copies after, while their
  /// chunk is in the cache.
  void update(const step::Table& table, const PlannedRun& run, ChunkRange range) const {
    const auto move = [&](std::int64_t first, std::int64_t last) {
      run.fused != nullptr ? run.fused(table, first, last, stores_)
                           : loops_.table.update_staged(table, *run.staged, first, last, stores_);
    };
    if (!has_followers_ && !settles(table, range)) return move(range.first, range.last);
    for (std::int64_t c = range.first; c < range.last; ++c) {
      loops_.table.settle(table, *run.staged, table.chunks[c]);
      move(c, c + 1);
      if (has_followers_) loops_.table.follow(table, c, c + 1, stores_);
    }
  }

  /// Measures the gradients together, and those of each group if the settings clip by group.
  void measure_gradients(const step::Table& table, step::Measure measure, CpuWork& work) {
    if (table.control->settings.clips_by_group == 0) {
      return reduce(table, measure, work, work.learners.norm, table.control->gradients);
    }
    reduce_parts(table, measure, work, work.learners.norm, true);
    for (std::size_t group = 0; group < partials_.groups(); ++group) {
      partials_.add_to(table.group_gradients[group], group);
      step::add(table.control->gradients, table.group_gradients[group]);
    }
  }

  void reduce(const step::Table& table, step::Measure measure, const CpuWork& work, cpu::Learner& learner,
              step::Reduction& result) {
    reduce_parts(table, measure, work, learner, false);
    partials_.add_to(result, 0);
  }

  void reduce_parts(const step::Table& table, step::Measure measure, const CpuWork& work,
                    cpu::Learner& learner, bool by_group) {
    partials_.clear();
    const auto add = [&](ChunkRange share, int thread) {
      loops_.table.reduce(table, measure, by_group, share.first, share.last, partials_.of(thread));
    };
    // Backwards, so that the gradients that the update begins with are read last.
    on_threads(work.pieces, add, &learner, true);
  }

  /// Calls work(range of chunks or pieces, thread) for all parts of the work, in the default float
  /// environment. What a caller's parallel_for throws waits for team_.rethrow(), so that nothing is done by
  /// halves.
  template <class Work>
  void on_threads(const SharedWork& shared, const Work& work, cpu::Learner* learner, bool backwards = false) {
    cpu::PoolRun run = shared.run;
    run.backwards = backwards;
    auto task = [&](int thread, int part) {
      const cpu::DefaultFloatEnvironment environment;
      work(shared.part(part), thread);
    };
    team_.run(run, task, learner);
  }

  CpuLoops loops_;
  int threads_;
  cpu::Team team_;
  std::int64_t cache_bytes_ = cpu_cache_bytes();
  std::unique_ptr<CpuWork> work_ = std::make_unique<CpuWork>();
  bool has_followers_ = false;
  cpu::Stores stores_;
  Partials partials_;
  double fetched_ = std::numeric_limits<double>::quiet_NaN();
};

/// The loops of a level that loops are compiled for.
const cpu::TableLoops& table_loops(Isa isa) {
#if defined(ONEPASS_WIDE_LOOPS)
  if (isa == Isa::avx512) return cpu::table_loops<Isa::avx512>();
  if (isa == Isa::avx2) return cpu::table_loops<Isa::avx2>();
#endif
  (void)isa;
  return cpu::table_loops<Isa::baseline>();
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const BackendRequest& request) {
  const Options& options = request.options;
  const Isa isa = options.isa == Isa::best ? best_isa() : options.isa;
  const Isa compiled = cpu::loops_of(isa);
  const bool has_loops = std::ranges::all_of(request.rules, [&](const RuleOps* rule) {
    return rule->variants.front().cpu_loops[static_cast<std::size_t>(compiled)] != nullptr;
  });
  if (!has_loops || !isa_available(isa)) {
    throw InvalidArgument("onepass: Options::isa asks for " + std::string(to_string(isa)) +
                          ", which this machine or this build does not have");
  }
  if (options.threads < 0 || options.threads > cpu::kMostThreads) {
    throw InvalidArgument("onepass: Options::threads must be 0 (all there are) or up to 1024, but is " +
                          std::to_string(options.threads));
  }
  const int threads = options.threads == 0 ? cpu_threads() : options.threads;
  const CpuLoops loops{compiled, table_loops(compiled), isa == Isa::avx512_bf16};
  return std::make_unique<CpuBackend>(loops, threads, options);
}

}  // namespace onepass
