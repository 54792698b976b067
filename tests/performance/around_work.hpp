// around_work.hpp - launches of the kernels that stand around the update, for their work to be counted.
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

/// Zeroing, accumulation, the penalty, prepare (whose elements are tensors), initialisation and dropout.
std::vector<NamedLaunch> launches_around();

}  // namespace onepass::test
