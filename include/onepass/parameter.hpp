// parameter.hpp - a tensor that the caller registers with an optimizer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// One tensor to train. The caller owns the memory and must keep it alive as long as the optimizer steps.
struct Parameter {
  std::string name;       ///< Unique within an optimizer and not empty; the key of its states.
  Tensor value;           ///< float32, bfloat16 or float16. Steps update it. May be empty (numel 0).
  Tensor grad = {};       ///< Numel and device of value; its dtype or float32. Null leaves the parameter out.
  std::size_t group = 0;  ///< Index of the parameter group, whose rule applies.
  /// If this is a shard of a larger tensor: offset of its first element there, a multiple of 32. Stochastic
  /// rounding draws its bits by name and element, so shards with the same name draw the bits that the whole
  /// tensor would.
  std::int64_t first = 0;
  /// Optional 16-bit copy of a float32 value for the model to read: bfloat16 or float16, with the numel and
  /// device of the value. Written (round to nearest even) by every step that changes the value; never read by
  /// the optimizer. Leave null for no copy.
  Tensor copy = {};
  /// Storage of this parameter, in place of Options::storage or Options::float32_storage: for example states
  /// of float32 for an embedding beside matrices with states of 8 bits.
  std::optional<Storage> storage = std::nullopt;
};

}  // namespace onepass
