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
  Tensor grad = {};       ///< Same numel and device as value, of its dtype or float32; null leaves the
                          ///< parameter out of the step.
  std::size_t group = 0;  ///< Which of the optimizer's rules applies.
  /// Offset of the first element in the tensor that this is a shard of, a multiple of 32. Stochastic rounding
  /// draws by name and element, so that shards of one name draw the bits of the whole.
  std::int64_t first = 0;
  /// Where the model reads a float32 value in 16 bits: bfloat16 or float16, of its numel and on its device.
  /// Each step that moves the value writes it, rounded to the nearest, ties to even; nobody reads it here.
  /// Null: none.
  Tensor copy = {};
};

}  // namespace onepass
