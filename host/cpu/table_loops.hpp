// table_loops.hpp - the seam between the host and the CPU loops that know no rule: reductions, accumulation,
// what follows a parameter.
#pragma once

#include <cstdint>

#include "host/cpu/stores.hpp"
#include "kernels/table.hpp"
#include "onepass/cpu.hpp"

namespace onepass::cpu {

struct TableLoops {
  /// Adds the measure of the pieces [first, last) to `into`, in the calling thread.
  void (*reduce)(const kernels::Table& table, kernels::Measure measure, std::int64_t first, std::int64_t last,
                 kernels::Reduction& into);
  /// Adds the incoming gradients of the chunks [first, last) to `grads`.
  void (*accumulate)(const kernels::Table& table, std::int64_t first, std::int64_t last, Stores stores);
  /// Moves the averages and writes the copies of the chunks [first, last), after their update.
  void (*follow)(const kernels::Table& table, std::int64_t first, std::int64_t last, Stores stores);
};

/// One small file for each instruction set, generated from table_loops.cpp.in.
template <Isa kIsa>
const TableLoops& table_loops();

}  // namespace onepass::cpu
