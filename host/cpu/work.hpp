// work.hpp - the work of a CPU step, as the backend plans it once for all steps.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/backend/backend.hpp"
#include "host/backend/plan.hpp"
#include "host/cpu/threads/learner.hpp"
#include "host/cpu/threads/parallel.hpp"
#include "step/lookup.hpp"
#include "step/reduction.hpp"

namespace onepass::cpu {

/// About the time of one element: AdamW of float32 in cache. SGD takes a third of it. AVX2 and quantised
/// states take several times as much, so that for them more threads pay sooner than this says.
inline constexpr double kNanosecondsAnElement = 0.25;

/// A run of chunks, and how they are updated: by a fused loop, or, if there is none, in stages.
struct PlannedRun {
  UpdateLoop fused;
  const StagedLoops* staged;
  ChunkRange chunks;
  bool takes_sums;
};

/// The sums over rows and columns of tensors of one program (host/backend/axis_plan.hpp).
struct PlannedAxes {
  const VariantOps* variant;
  const StagedLoops* staged;
  ChunkRange tiles, lines, matrices;
};

/// Work that threads share, and where it is cut into parts. Computed once for all steps: searching for each
/// part's chunks in every step would take a twentieth of the step's time.
struct SharedWork {
  PoolRun run{1, 1, 0.0};
  std::vector<std::int64_t> firsts{0, 0};  ///< The return value of cut_into_shares().

  static SharedWork of(std::span<const std::int64_t> offsets, int threads) {
    const double nanoseconds = kNanosecondsAnElement * static_cast<double>(offsets.back());
    const PoolRun run = cut(nanoseconds, std::ssize(offsets) - 1, threads);
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
  Learner update, sums, zero, accumulate, norm, penalty, terms, perturb, restore, tiles, lines, matrices;
};

/// The work of a step over all tensors, or over a part of them.
struct CpuWork final : PlannedWork {
  std::vector<PreparedRule> rules;
  std::vector<PlannedRun> runs;
  std::vector<PlannedAxes> axes;
  SharedWork chunks, pieces, axis_tiles, axis_lines, axis_matrices;
  Learners learners;

  /// Returns whether any rule takes sums over tensors.
  [[nodiscard]] bool takes_sums() const { return std::ranges::any_of(rules, &PreparedRule::takes_sums); }
};

/// Calls work(run, what it has of the share) for each run that has anything in a share. `range`: the member
/// of a run that has its chunks, or what else the work goes over.
template <class Run, class Work>
void over_runs(const std::vector<Run>& runs, ChunkRange Run::*range, ChunkRange share, const Work& work) {
  for (const Run& run : runs) {
    const std::int64_t first = std::max(share.first, (run.*range).first);
    const std::int64_t last = std::min(share.last, (run.*range).last);
    if (first < last) work(run, ChunkRange{first, last});
  }
}

/// Returns whether this step settles the states of any tensor among the chunks.
inline bool settles(const step::Table& table, ChunkRange range) {
  const auto* const chunks = table.chunks;
  return std::any_of(chunks + range.first, chunks + range.last,
                     [&](const step::Chunk& chunk) { return step::step_of(table, chunk.tensor).settles; });
}

}  // namespace onepass::cpu
