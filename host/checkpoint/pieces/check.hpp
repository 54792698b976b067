// check.hpp - checks that the pieces which files have of a parameter make up the parameter. Each function
// throws InvalidArgument if they do not.
#pragma once

#include <span>
#include <vector>

#include "host/checkpoint/pieces/pieces.hpp"

namespace onepass::checkpoint {

/// Leaves the pieces that have elements, if there are any: the counts of an empty shard say nothing about the
/// others.
void keep_elements(std::vector<Piece>& pieces);

/// Checks that pieces agree in their counts, and with the parameter in their group.
void check_numbers(const Parameter& parameter, std::span<const Piece> pieces);

/// Checks that the pieces have each element of the parameter once, and no others unless a part is wanted.
void check_elements(const Parameter& parameter, std::span<const Piece> pieces, bool shards);

/// Checks that a piece has these states of rows and columns.
void check_lines(const PieceRecord& record, std::span<const LineRecord> wanted);

}  // namespace onepass::checkpoint
