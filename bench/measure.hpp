// measure.hpp - from a batch to the rows of the report.
#pragma once

#include <vector>

#include "bench/machine/machine.hpp"
#include "bench/options.hpp"
#include "bench/plan.hpp"
#include "bench/report/row.hpp"

namespace onepass::bench {

struct Measured {
  std::vector<Row> rows;  ///< Of the entries that are reported.
  int samples = 0;
  int disturbed = 0;
};

/// Builds the batch, verifies it, and takes its samples interleaved. Throws what Subject's constructor and
/// verify() throw.
Measured measure(Machine& machine, const Batch& batch, const BenchOptions& options);

}  // namespace onepass::bench
