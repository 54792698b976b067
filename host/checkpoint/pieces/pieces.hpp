// pieces.hpp - puts a parameter together from the pieces that files have of it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "host/checkpoint/document.hpp"
#include "host/checkpoint/safetensors.hpp"
#include "host/optimizer/memory/storage_layout.hpp"
#include "onepass/parameter.hpp"

namespace onepass::checkpoint {

/// A parameter in one of the files.
struct Piece {
  const TensorFile* file;
  const PieceRecord* record;
};

/// A parameter of an optimizer, and what the optimizer keeps for it.
struct Target {
  const Parameter& parameter;
  const VariantOps& variant;
  storage::FormatName format;
  std::vector<StreamSpec> specs;
};

/// The states and the value that load() writes into a parameter.
struct Loaded {
  SavedParameter saved;
  std::vector<std::byte> value;  ///< Empty if values are left out.
};

/// The choices of the caller about what load() reads besides states.
struct Wanted {
  bool values;  ///< The files have the values, and they are loaded.
  bool shards;  ///< The parameter may have fewer elements than the files.
};

/// Reads a parameter in the format of the optimizer. Throws InvalidArgument if the pieces, of which there is
/// at least one, contradict each other, lack an element, or have another group or other states; or if only
/// values that are left out could tell the master. Throws FileError if a file cannot be read.
[[nodiscard]] Loaded put_together(const Target& target, std::vector<Piece> pieces, Wanted wanted);

}  // namespace onepass::checkpoint
