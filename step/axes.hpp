// axes.hpp - the sums over rows and columns of matrices, and what a rule makes of them.
#pragma once

#include <cstdint>

#include "onepass/rule/axes.hpp"
#include "onepass/rule/element.hpp"
#include "step/global.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// A tile adds up the squares of its terms in double, which holds each of them exactly, in an order that
/// follows from the shape of the matrix alone:
/// - A row adds element j of each 8 consecutive ones over the tile's 32 eights, in a tree of halves, and then
///   the 8 results in another. Columns behind the stripe's end count as zeros.
/// - A column adds each kGroup rows one after the other, and then the groups one after the other.
/// A row adds its stripes one after the other, a column its bands.
inline constexpr int kEight = 8;
inline constexpr std::int64_t kGroup = 16;

/// The rows that a band has, and where it begins.
struct Band {
  std::int64_t row;  ///< Its first row, counted through all matrices.
  std::int64_t rows;
};

ONEPASS_LANE Band band_of(const AxisEntry& axes, std::int64_t band) {
  const std::int64_t each = axes.bands();
  const std::int64_t within = band % each * kBand;
  const std::int64_t left = axes.matrices.rows - within;
  return {band / each * axes.matrices.rows + within, left < kBand ? left : kBand};
}

/// The columns of `count` stripes from one on.
ONEPASS_LANE std::int64_t width_of(const AxisEntry& axes, std::int64_t stripe, std::int64_t count) {
  const std::int64_t left = axes.matrices.columns - stripe * kStripe;
  return left < count * kStripe ? left : count * kStripe;
}

/// Returns the chunk of a row's elements in these stripes.
ONEPASS_LANE Chunk segment_of(const AxisEntry& axes, std::uint32_t tensor, std::int64_t row,
                              std::int64_t stripe, std::int64_t count) {
  const std::int64_t begin = row * axes.matrices.columns + stripe * kStripe;
  return {tensor, static_cast<std::uint32_t>(width_of(axes, stripe, count)), begin, begin,
          begin / storage::kBlock};
}

/// Adds numbers that lie `apart` numbers apart, in order.
ONEPASS_LANE double added(const double* numbers, std::int64_t count, std::int64_t apart) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += declared_global(numbers)[i * apart];
  return sum;
}

/// Returns the mean over a row, counted through all matrices.
ONEPASS_LANE double row_mean(const AxisEntry& axes, std::int64_t row) {
  const std::int64_t stripes = axes.stripes();
  return added(axes.row_sums + row * stripes, stripes, 1) / static_cast<double>(axes.matrices.columns);
}

/// Returns the mean over a column, counted through all matrices.
ONEPASS_LANE double column_mean(const AxisEntry& axes, std::int64_t column) {
  const std::int64_t columns = axes.matrices.columns, bands = axes.bands();
  const std::int64_t matrix = column / columns;
  const double* const first = axes.column_sums + matrix * bands * columns + column % columns;
  return added(first, bands, columns) / static_cast<double>(axes.matrices.rows);
}

/// Moves the state of one line, a row or a column (AxisPart), by the sums of a pass.
template <class Variant, int kPass, class Rule>
ONEPASS_LANE void move_line(const rule::TensorCoefficients<Rule>& k, const AxisEntry& axes,
                            std::int64_t line) {
  constexpr int kRows = rule::kAxisOf<Variant, kPass, rule::Axis::rows>;
  constexpr int kColumns = rule::kAxisOf<Variant, kPass, rule::Axis::columns>;
  const std::int64_t rows = axes.matrices.extent(rule::Axis::rows);
  if (line < rows) {
    if constexpr (kRows >= 0) {
      Variant::move_axis(k.rule, kRows, row_mean(axes, line), declared_global(axes.states[kRows])[line]);
    }
  } else if constexpr (kColumns >= 0) {
    const std::int64_t column = line - rows;
    Variant::move_axis(k.rule, kColumns, column_mean(axes, column),
                       declared_global(axes.states[kColumns])[column]);
  }
}

/// The lines of one matrix along one axis, and the numbers that update() gets for them.
struct Lines {
  const float* states;
  float* numbers;
  std::int64_t count;
};

ONEPASS_LANE Lines lines_of(const AxisEntry& axes, int axis, rule::Axis along, std::int64_t matrix) {
  const std::int64_t each = along == rule::Axis::rows ? axes.matrices.rows : axes.matrices.columns;
  return {declared_global(axes.states[axis]) + matrix * each,
          declared_global(axes.numbers[axis]) + matrix * each, each};
}

/// The lanes that add up the states of a matrix: lane i adds every kMeanLanes-th one from number i on, and
/// the lanes are added in a tree of halves.
inline constexpr int kMeanLanes = 32;

/// Returns what one lane adds.
ONEPASS_LANE double lane_sum(const Lines& lines, int lane) {
  double sum = 0.0;
  for (std::int64_t i = lane; i < lines.count; i += kMeanLanes) sum += static_cast<double>(lines.states[i]);
  return sum;
}

/// Makes the numbers of every kMeanLanes-th line from number `lane` on.
template <class Variant, class Rule>
ONEPASS_LANE void make_numbers(const rule::TensorCoefficients<Rule>& k, int axis, const Lines& lines,
                               double mean, int lane, int lanes) {
  for (std::int64_t i = lane; i < lines.count; i += lanes) {
    lines.numbers[i] = Variant::axis_number(k.rule, axis, lines.states[i], mean);
  }
}

}  // namespace onepass::step
