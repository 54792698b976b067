// table_loops.hpp - the seam between the host and the CPU loops that know no rule: reductions, accumulation,
// what follows a parameter.
#pragma once

#include <cstdint>

#include "host/cpu/codecs/stores.hpp"
#include "onepass/cpu.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

struct TableLoops {
  /// Adds the measure of the pieces [first, last) to `into`, in the calling thread.
  void (*reduce)(const step::Table& table, step::Measure measure, std::int64_t first, std::int64_t last,
                 step::Reduction& into);
  /// Adds the incoming gradients of the chunks [first, last) to `grads`.
  void (*accumulate)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);
  /// Moves the averages and writes the copies of the chunks [first, last), after their update.
  void (*follow)(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores);
};

/// One small file for each instruction set, generated from table_loops.cpp.in.
template <Isa kIsa>
const TableLoops& table_loops();

}  // namespace onepass::cpu
