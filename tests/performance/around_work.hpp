// around_work.hpp - launches of the kernels around the update, so that their work can be counted.
#pragma once

#include <string>
#include <vector>

#include "support/work/kernel_work.hpp"

namespace onepass::test {

struct NamedLaunch {
  std::string name;  ///< "accumulate", "prepare of AdamW, of a tensor"
  std::string kernel;
  Prepared prepared;
};

/// Launches of zeroing, accumulation, penalty, prepare (whose elements are tensors), initialization and
/// dropout.
std::vector<NamedLaunch> launches_around();

}  // namespace onepass::test
