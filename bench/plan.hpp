// plan.hpp - the list of cases, packed into batches that share a run.
#pragma once

#include <string>
#include <vector>

#include "bench/case.hpp"
#include "bench/options.hpp"

namespace onepass::bench {

/// Cases whose samples are interleaved so that their times can be compared: storage formats of one rule on
/// one model.
struct Batch {
  struct Entry {
    Case measured;
    bool reported;  ///< False if the case is only here for comparison; another batch reports it.
  };
  std::vector<Entry> entries;
};

struct Plan {
  std::vector<Batch> batches;
  std::vector<std::string> left_out;  ///< One sentence for each case that does not fit the memory.
};

/// Plans each case once. A case shares its batch with the format that it is compared with if that format was
/// selected and both fit the memory.
Plan make_plan(const BenchOptions& options);

/// Returns the layouts that --layout names, "flat" once for each size. Throws std::invalid_argument for an
/// unknown name.
std::vector<Layout> layouts_of(const BenchOptions& options);

}  // namespace onepass::bench
