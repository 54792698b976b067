// axis_plan.hpp - cuts the matrices of a model into the work of sums over rows and columns (step/axes.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/backend/plan.hpp"
#include "onepass/parameter.hpp"
#include "step/table.hpp"

namespace onepass {

/// Returns the matrices of a shape: its last two dimensions. A shape of fewer dimensions, or of no elements,
/// is a vector.
rule::Matrices matrices_of(const Parameter& parameter);

/// The work of tensors of one program.
struct AxisRun {
  std::size_t program;
  ChunkRange tiles, lines, matrices;
};

/// The work of the sums over rows and columns of all tensors that have any, run by run.
struct AxisWork {
  std::vector<step::AxisTile> tiles;
  std::vector<step::AxisPart> lines;  ///< Rows and columns.
  std::vector<step::AxisPart> matrices;
  std::vector<AxisRun> runs;

  /// Adds a tensor, after all tensors of programs with lower numbers. `stripes`: the most of a tile, at most
  /// step::kMostStripes. Along whole rows memory is read faster; more tiles keep more threads busy.
  void add(std::size_t program, std::uint32_t tensor, const rule::Matrices& matrices, bool has_columns,
           std::int64_t stripes);
};

/// Number of elements before each tile, followed by the total.
std::vector<std::int64_t> element_offsets(std::span<const step::AxisTile> tiles,
                                          std::span<const step::AxisEntry> axes);
/// Number of lines, or matrices, before each part, followed by the total.
std::vector<std::int64_t> line_offsets(std::span<const step::AxisPart> parts);

/// How many doubles the sums over the rows of a tensor's matrices take, and those over its columns.
struct AxisRoom {
  std::int64_t row_sums, column_sums;

  static AxisRoom of(const rule::Matrices& matrices);
};

}  // namespace onepass
