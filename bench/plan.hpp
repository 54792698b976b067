// plan.hpp - which cases there are, and which of them share a run.
#pragma once

#include <string>
#include <vector>

#include "bench/case.hpp"
#include "bench/options.hpp"

namespace onepass::bench {

/// Cases whose samples are interleaved, so that their times can be compared: formats of one rule on one
/// model.
struct Batch {
  struct Entry {
    Case measured;
    bool reported;  ///< False if it is only here to be compared with, and reported elsewhere.
  };
  std::vector<Entry> entries;
};

struct Plan {
  std::vector<Batch> batches;
  std::vector<std::string> left_out;  ///< Sentences about what does not fit the memory.
};

/// Each case once, beside the format that it is compared with where that is asked for too and both fit.
Plan make_plan(const BenchOptions& options);

/// The tensors that a --layout asks for, "flat" once for each size. Throws std::invalid_argument for a name
/// that it does not know.
std::vector<Layout> layouts_of(const BenchOptions& options);

}  // namespace onepass::bench
