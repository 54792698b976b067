#include "host/backend/axis_plan.hpp"

#include <algorithm>

#include "step/axes.hpp"

namespace onepass {
namespace {

/// Elements of a tile of narrow matrices, which has several bands.
constexpr std::int64_t kMostOfTile = 4096;
/// Lines, and matrices, of a part.
constexpr std::int64_t kMostLines = 1024, kMostMatrices = 32;

std::int64_t parts_of(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

void add_parts(std::vector<step::AxisPart>& parts, std::uint32_t tensor, std::int64_t count,
               std::int64_t most) {
  for (std::int64_t first = 0; first < count; first += most) {
    parts.push_back({tensor, static_cast<std::uint32_t>(std::min(most, count - first)), first});
  }
}

}  // namespace

rule::Matrices matrices_of(const Parameter& parameter) {
  const std::vector<std::int64_t>& shape = parameter.shape;
  if (shape.size() < 2 || parameter.value.numel == 0) return {};
  const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
  return {parameter.value.numel / (rows * columns), rows, columns};
}

AxisRoom AxisRoom::of(const rule::Matrices& matrices) {
  if (matrices.count == 0) return {0, 0};
  return {matrices.count * matrices.rows * parts_of(matrices.columns, step::kStripe),
          matrices.count * parts_of(matrices.rows, step::kBand) * matrices.columns};
}

void AxisWork::add(std::size_t program, std::uint32_t tensor, const rule::Matrices& of, bool has_columns,
                   std::int64_t most) {
  if (runs.empty() || runs.back().program != program) {
    const auto from = [](const auto& list) { return ChunkRange{std::ssize(list), std::ssize(list)}; };
    runs.push_back({program, from(tiles), from(lines), from(matrices)});
  }
  const std::int64_t bands = of.count * parts_of(of.rows, step::kBand);
  const std::int64_t stripes = parts_of(of.columns, step::kStripe);
  const std::int64_t of_band = std::min(of.rows, step::kBand) * std::min(of.columns, step::kStripe);
  const std::int64_t each = stripes == 1 ? std::max<std::int64_t>(1, kMostOfTile / of_band) : 1;
  for (std::int64_t band = 0; band < bands; band += each) {
    for (std::int64_t stripe = 0; stripe < stripes; stripe += most) {
      tiles.push_back({tensor, static_cast<std::uint32_t>(std::min(each, bands - band)),
                       static_cast<std::uint32_t>(std::min(most, stripes - stripe)), 0, band, stripe});
    }
  }
  const std::int64_t columns = has_columns ? of.extent(rule::Axis::columns) : 0;
  add_parts(lines, tensor, of.extent(rule::Axis::rows) + columns, kMostLines);
  add_parts(matrices, tensor, of.count, kMostMatrices);
  runs.back().tiles.last = std::ssize(tiles);
  runs.back().lines.last = std::ssize(lines);
  runs.back().matrices.last = std::ssize(matrices);
}

std::vector<std::int64_t> element_offsets(std::span<const step::AxisTile> tiles,
                                          std::span<const step::AxisEntry> axes) {
  std::vector<std::int64_t> offsets{0};
  offsets.reserve(tiles.size() + 1);
  for (const step::AxisTile& tile : tiles) {
    const step::AxisEntry& of = axes[tile.tensor];
    const step::Band first = step::band_of(of, tile.band),
                     last = step::band_of(of, tile.band + tile.bands - 1);
    const std::int64_t rows = last.row + last.rows - first.row;
    offsets.push_back(offsets.back() + rows * step::width_of(of, tile.stripe, tile.stripes));
  }
  return offsets;
}

std::vector<std::int64_t> line_offsets(std::span<const step::AxisPart> parts) {
  std::vector<std::int64_t> offsets{0};
  offsets.reserve(parts.size() + 1);
  for (const step::AxisPart& part : parts) offsets.push_back(offsets.back() + part.count);
  return offsets;
}

}  // namespace onepass
