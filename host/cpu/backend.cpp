// backend.cpp - the CPU backend. A step hands the chunks of a whole model to the threads at once.
#include "host/backend/backend.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "host/cpu/axis_work.hpp"
#include "host/cpu/isa.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "host/cpu/streams.hpp"
#include "host/cpu/threads/float_environment.hpp"
#include "host/cpu/threads/team.hpp"
#include "host/cpu/work.hpp"
#include "onepass/error.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"
#include "step/shard_measure.hpp"

namespace onepass {
namespace {

using cpu::CpuWork;
using cpu::PlannedRun;
using cpu::SharedWork;

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
    cpu::zero_few(table, added.first);
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

  void begin_step(const step::Table& table, std::optional<step::Measure> norm, std::int64_t* sums,
                  Stream /*stream*/) override {
    begin(table, norm, *work_);
    step::give_sums(table, sums, 0, 1);
    team_.rethrow();
  }
  void finish_step(const step::Table& table, const std::int64_t* sums, Stream /*stream*/) override {
    step::take_sums(table, sums, 0, 1);
    finish(table, *work_);
    team_.rethrow();
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

  void measure_perturbation(const step::Table& table, const step::Perturbation& how, std::int64_t* words,
                            Stream /*stream*/) override {
    measure_terms(table, how);
    step::give_squares(how, words);
    team_.rethrow();
  }

  void perturb(const step::Table& table, const step::Perturbation& how, const std::int64_t* words,
               Stream /*stream*/) override {
    words == nullptr ? measure_terms(table, how) : step::take_squares(how, words);
    const cpu::DefaultFloatEnvironment environment;
    const step::Push push = step::push_of(table, how);
    const auto move = [&](ChunkRange share, int /*thread*/) {
      loops_.table.perturb(table, how, push, share.first, share.last, stores_);
    };
    on_threads(work_->chunks, move, &work_->learners.perturb);
    step::conclude_perturbation(table, how, push, 0, 1);
    team_.rethrow();
  }

  void restore(const step::Table& table, const step::Perturbation& how, Stream /*stream*/) override {
    const auto put_back = [&](ChunkRange share, int /*thread*/) {
      for (std::int64_t c = share.first; c < share.last; ++c) {
        cpu::restore_streams(table, how, table.chunks[c]);
      }
    };
    on_threads(work_->chunks, put_back, &work_->learners.restore);
    how.state->is_perturbed = 0;
    team_.rethrow();
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
    for (const AxisRun& run : plan.axis_runs) {
      const VariantOps* const variant = plan.programs[run.program].variant;
      work->axes.push_back({variant, &loops_of(*variant).staged, run.tiles, run.lines, run.matrices});
    }
    work->axis_tiles = SharedWork::of(plan.axis_tiles, threads_);
    work->axis_lines = SharedWork::of(plan.axis_lines, threads_);
    work->axis_matrices = SharedWork::of(plan.axis_matrices, threads_);
    return work;
  }

  void step_work(const step::Table& table, std::optional<step::Measure> norm, CpuWork& work) {
    begin(table, norm, work);
    finish(table, work);
    team_.rethrow();
  }

  /// Takes a step up to the sums over tensors, for rules that take any. A sweep takes none.
  void begin(const step::Table& table, std::optional<step::Measure> norm, CpuWork& work) {
    if (norm) measure_gradients(table, *norm, work);
    {
      const cpu::DefaultFloatEnvironment environment;
      prepare(table, work.rules);
    }
    if (table.sweeps != 0) return;
    move_axes(table, 0, work);
    if (!work.takes_sums()) return;
    const auto take = [&](ChunkRange share, int /*thread*/) { take_sums(table, work.runs, share); };
    on_threads(work.chunks, take, &work.learners.sums);
  }

  void move_axes(const step::Table& table, std::size_t pass, CpuWork& work) {
    const auto run = [&](const SharedWork& shared, const auto& part, cpu::Learner& learner) {
      on_threads(shared, part, &learner);
    };
    cpu::move_axes(loops_.table, table, pass, work, stores_, run);
  }

  /// Takes the rest of the step.
  void finish(const step::Table& table, CpuWork& work) {
    if (table.sweeps == 0) {
      const cpu::DefaultFloatEnvironment environment;
      step::Table part = table;
      for (const PreparedRule& rule : work.rules) {
        part.prepares = rule.number;
        if (rule.takes_sums) rule.ops->cpu_finish(part);
      }
    }
    if (table.sweeps == 0) move_axes(table, 1, work);
    const auto update_share = [&](ChunkRange share, int /*thread*/) { update(table, work.runs, share); };
    on_threads(work.chunks, update_share, &work.learners.update);
  }

  [[nodiscard]] const cpu::VariantLoops& loops_of(const VariantOps& variant) const {
    return *variant.cpu_loops[static_cast<std::size_t>(loops_.compiled)];
  }
  [[nodiscard]] PlannedRun planned(const Program& program, const ProgramRun& run) const {
    const cpu::VariantLoops& loops = loops_of(*program.variant);
    return {loops.fused_for(program.format),
            &loops.staged,
            {run.first, run.first + run.count},
            program.takes_sums};
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

  /// Updates the chunks of one share.
  void update(const step::Table& table, const std::vector<PlannedRun>& runs, ChunkRange share) const {
    cpu::over_runs(runs, &PlannedRun::chunks, share,
                   [&](const PlannedRun& run, ChunkRange range) { update(table, run, range); });
  }

  /// Adds the chunks of one share to the sums over their tensors.
  void take_sums(const step::Table& table, const std::vector<PlannedRun>& runs, ChunkRange share) const {
    cpu::over_runs(runs, &PlannedRun::chunks, share, [&](const PlannedRun& run, ChunkRange range) {
      if (!run.takes_sums) return;
      loops_.table.measure_staged(table, *run.staged, range.first, range.last, stores_);
    });
  }

  /// Updates the chunks of one run. Settles states before, and moves averages and copies after, while their
  /// chunk is in the cache.
  void update(const step::Table& table, const PlannedRun& run, ChunkRange range) const {
    const auto move = [&](std::int64_t first, std::int64_t last) {
      run.fused != nullptr ? run.fused(table, first, last, stores_)
                           : loops_.table.update_staged(table, *run.staged, first, last, stores_);
    };
    if (!has_followers_ && !cpu::settles(table, range)) return move(range.first, range.last);
    for (std::int64_t c = range.first; c < range.last; ++c) {
      loops_.table.settle(table, *run.staged, table.chunks[c]);
      move(c, c + 1);
      if (has_followers_) loops_.table.follow(table, c, c + 1, stores_);
    }
  }

  /// Measures the gradients together, and those of each group or tensor if the settings clip by these.
  void measure_gradients(const step::Table& table, step::Measure measure, CpuWork& work) {
    const step::Settings& settings = table.control->settings;
    if (settings.clips_by_group == 0) {
      const auto of = settings.clips_by_parameter != 0 ? cpu::MeasureOf::tensors : cpu::MeasureOf::all;
      return reduce(table, measure, work, work.learners.norm, table.control->gradients, of);
    }
    reduce_parts(table, measure, work, work.learners.norm, cpu::MeasureOf::groups);
    for (std::size_t group = 0; group < partials_.groups(); ++group) {
      partials_.add_to(table.group_gradients[group], group);
      step::add(table.control->gradients, table.group_gradients[group]);
    }
  }

  /// Adds the squares of what a perturbation moves the parameters by.
  void measure_terms(const step::Table& table, const step::Perturbation& how) {
    partials_.clear();
    const auto add = [&](ChunkRange share, int thread) {
      loops_.table.measure_perturbation(table, how, share.first, share.last, partials_.of(thread));
    };
    on_threads(work_->chunks, add, &work_->learners.terms, true);
    partials_.add_to(how.state->squares, 0);
  }

  void reduce(const step::Table& table, step::Measure measure, const CpuWork& work, cpu::Learner& learner,
              step::Reduction& result, cpu::MeasureOf of = cpu::MeasureOf::all) {
    reduce_parts(table, measure, work, learner, of);
    partials_.add_to(result, 0);
  }

  void reduce_parts(const step::Table& table, step::Measure measure, const CpuWork& work,
                    cpu::Learner& learner, cpu::MeasureOf of) {
    partials_.clear();
    const auto add = [&](ChunkRange share, int thread) {
      loops_.table.reduce(table, measure, of, share.first, share.last, partials_.of(thread));
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
  cpu::Partials partials_;
  double fetched_ = std::numeric_limits<double>::quiet_NaN();
};

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
  const CpuLoops loops{compiled, cpu::table_loops(compiled), isa == Isa::avx512_bf16};
  return std::make_unique<CpuBackend>(loops, threads, options);
}

}  // namespace onepass
