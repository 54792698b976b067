// parameter.hpp - what the caller registers with an optimizer.
#pragma once

#include <cstddef>
#include <string>

#include "onepass/tensor.hpp"

namespace onepass {

/// One tensor to be trained. The memory stays the caller's and must live as long as the optimizer steps.
struct Parameter {
  std::string name;       ///< Unique within an optimizer; the key of its states.
  Tensor value;           ///< Moved by every step. May be empty (numel 0, any pointer).
  Tensor grad = {};       ///< Same numel and device as value; null leaves the parameter out of the step.
  std::size_t group = 0;  ///< Which of the optimizer's rules applies.
};

}  // namespace onepass
