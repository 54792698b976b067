// measure.hpp - measures a batch and makes the rows of the report.
#pragma once

#include <vector>

#include "bench/machine/machine.hpp"
#include "bench/options.hpp"
#include "bench/plan.hpp"
#include "bench/report/row.hpp"

namespace onepass::bench {

struct Measured {
  std::vector<Row> rows;  ///< One for each reported entry and state of the caches.
  int samples = 0;
  int disturbed = 0;
};

/// Builds the batch, verifies it, and takes its samples interleaved. Throws the exceptions of Subject's
/// constructor and of Subject::verify().
Measured measure(Machine& machine, const Batch& batch, const BenchOptions& options);

}  // namespace onepass::bench
