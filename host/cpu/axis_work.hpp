// axis_work.hpp - a pass over the matrices of a model: its three stages, each for all matrices together.
#pragma once

#include <algorithm>
#include <cstddef>

#include "host/cpu/loops/table_loops.hpp"
#include "host/cpu/work.hpp"

namespace onepass::cpu {

/// Takes the sums over rows and columns in a pass, moves their states, and makes the numbers of the update.
/// run(shared work, function of a share and a thread, learner) shares work among threads.
template <class Run>
void move_axes(const TableLoops& loops, const step::Table& table, std::size_t pass, CpuWork& work,
               Stores stores, const Run& run) {
  const auto has_pass = [&](const PlannedAxes& axes) { return axes.variant->has_axis_pass(pass); };
  if (std::ranges::none_of(work.axes, has_pass)) return;
  const auto over = [&](const SharedWork& shared, ChunkRange PlannedAxes::*range, Learner& learner,
                        const auto& move) {
    const auto in_pass = [&](const PlannedAxes& axes, ChunkRange part) {
      if (has_pass(axes)) move(axes, part);
    };
    run(
        shared, [&](ChunkRange share, int /*thread*/) { over_runs(work.axes, range, share, in_pass); },
        learner);
  };
  over(work.axis_tiles, &PlannedAxes::tiles, work.learners.tiles, [&](const auto& axes, ChunkRange part) {
    loops.measure_axes(table, *axes.staged, static_cast<int>(pass), part.first, part.last, stores);
  });
  over(work.axis_lines, &PlannedAxes::lines, work.learners.lines, [&](const auto& axes, ChunkRange part) {
    axes.variant->cpu_axes[pass].move_lines(table, part.first, part.last);
  });
  over(work.axis_matrices, &PlannedAxes::matrices, work.learners.matrices,
       [&](const auto& axes, ChunkRange part) {
         axes.variant->cpu_axes[pass].make_numbers(table, part.first, part.last);
       });
}

}  // namespace onepass::cpu
