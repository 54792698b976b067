// table_loops.hpp - the seam between the host and the CPU loops that do not depend on the rule: reductions,
// gradient accumulation, moving averages and 16-bit copies, their start, the staged passes, and SAM.
#pragma once

#include <cstdint>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/cpu.hpp"
#include "step/perturb.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// The measures that a reduction takes: one of all tensors, one of each group, or one of each tensor too.
enum class MeasureOf { all, groups, tensors };

struct TableLoops {
  /// Adds a measure of the pieces [first, last) to `results`, in the calling thread: to the first one, or to
  /// that of each tensor's group. Those of tensors it adds to the table; several threads may.
  void (*reduce)(const step::Table& table, step::Measure measure, MeasureOf of, std::int64_t first,
                 std::int64_t last, step::Reduction* results);
  /// Adds the gradients of a micro-batch, times its weight, to their sums, for the chunks [first, last).
  void (*accumulate)(const step::Table& table, float weight, std::int64_t first, std::int64_t last,
                     Stores stores);
  /// Moves the slow weights and moving averages, and writes the 16-bit copies, of the chunks [first, last),
  /// after their update.
  void (*follow)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);
  /// Copies the parameters of a new chunk to the streams that begin as the parameter (step/start.hpp).
  void (*copy_params)(const step::Table& table, const step::Chunk& chunk);
  /// Settles the streams of a chunk whose states are those of `rule`, before its update, if this step does.
  void (*settle)(const step::Table& table, const StagedLoops& rule, const step::Chunk& chunk);
  /// Updates the chunks [first, last), all of which have one format, by the loops of any rule.
  void (*update_staged)(const step::Table& table, const StagedLoops& rule, std::int64_t first,
                        std::int64_t last, Stores stores);
  /// Adds the chunks [first, last), all of which have one format, to the sums over their tensors, by the
  /// loops of a rule that takes sums. Several threads may.
  void (*measure_staged)(const step::Table& table, const StagedLoops& rule, std::int64_t first,
                         std::int64_t last, Stores stores);
  /// Takes the sums over rows and columns of the tiles [first, last), all of which have one format, in a pass
  /// of a rule that has it.
  void (*measure_axes)(const step::Table& table, const StagedLoops& rule, int pass, std::int64_t first,
                       std::int64_t last, Stores stores);
  /// Adds the squares of step::term() over the chunks [first, last) to `into`, in the calling thread.
  void (*measure_perturbation)(const step::Table& table, const step::Perturbation& how, std::int64_t first,
                               std::int64_t last, step::Reduction* into);
  /// Keeps and moves the parameters of the chunks [first, last), and zeroes gradients that a step would zero.
  void (*perturb)(const step::Table& table, const step::Perturbation& how, const step::Push& push,
                  std::int64_t first, std::int64_t last, Stores stores);
};

/// The loops for one instruction set. Defined in generated files only, one for each instruction set: CMake
/// makes them from host/cpu/loops/table_loops.cpp.in.
template <Isa kIsa>
const TableLoops& table_loops();

/// The loops of a level that loops are compiled for; defined in host/cpu/isa.cpp.
const TableLoops& table_loops(Isa isa);

/// TableLoops::update_staged, in an object of its own: CMake makes it from host/cpu/staged/staged.cpp.in.
template <Isa kIsa>
void update_staged(const step::Table& table, const StagedLoops& rule, std::int64_t first, std::int64_t last,
                   Stores stores);
/// TableLoops::measure_staged, in the same object.
template <Isa kIsa>
void measure_staged(const step::Table& table, const StagedLoops& rule, std::int64_t first, std::int64_t last,
                    Stores stores);

/// TableLoops::measure_axes, in the same object.
template <Isa kIsa>
void measure_axes(const step::Table& table, const StagedLoops& rule, int pass, std::int64_t first,
                  std::int64_t last, Stores stores);

}  // namespace onepass::cpu
