// axes.cuh - the kernels for the sums over rows and columns of matrices (step/axes.hpp), in any format. They
// write no stream of elements.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/exact_warp.cuh"
#include "kernels/launch.cuh"
#include "kernels/update/any_format.cuh"
#include "kernels/update/cuda_rule.hpp"
#include "step/axes.hpp"

namespace onepass::kernels {

using namespace step;

/// A thread block measures the rows of a group with each of its warps, and a lane 8 consecutive columns.
inline constexpr int kAxisThreads = 128;
inline constexpr int kGroups = kAxisThreads / kWarp;
static_assert(kGroups * kGroup == kBand && kWarp * kEight == kStripe && kAnyTile == kEight);

/// Adds kHalf numbers of each lane to those of the lane kDistance away. Of the first 2 * kHalf of its
/// numbers, a lane keeps the lower or the upper half and gives the others away.
template <int kHalf, int kDistance>
__device__ __forceinline__ void fold_lanes(double (&numbers)[kEight], int lane) {
  const bool keeps_upper = (lane & kDistance) != 0;
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    const double kept = keeps_upper ? numbers[i + kHalf] : numbers[i];
    const double given = keeps_upper ? numbers[i] : numbers[i + kHalf];
    numbers[i] = kept + __shfl_xor_sync(kAllLanes, given, kDistance);
  }
}

/// Adds a number of all lanes in a tree of halves. `widths`: the distances of the lanes that are added.
template <int... kDistance>
__device__ __forceinline__ double fold_lanes(double number) {
  (..., (number += __shfl_xor_sync(kAllLanes, number, kDistance)));
  return number;
}

/// Returns the sum of a row, of which every lane has 8 squares, to every lane.
__device__ __forceinline__ double row_sum(double (&squares)[kEight], int lane) {
  fold_lanes<4, 16>(squares, lane);
  fold_lanes<2, 8>(squares, lane);
  fold_lanes<1, 4>(squares, lane);
  return fold_lanes<2, 1, 16, 8, 4>(squares[0]);
}

/// Computes the squares of a lane's terms in one row.
template <class Variant, int kPass, class Rule, class Streams, std::size_t... kState, std::size_t... kLine>
__device__ __forceinline__ void square_terms(const rule::TensorCoefficients<Rule>& k, const Streams& streams,
                                             Place place, const AxisEntry& axes, double (&squares)[kEight],
                                             std::index_sequence<kState...> /*states*/,
                                             std::index_sequence<kLine...> /*lines*/) {
  typename Streams::TileOf tile{};
  streams.template load_some<rule::kAxisRead<Variant, kPass>>(tile, place, k.around);
  if constexpr (kPass > 0) streams.load_numbers(tile, place, axes);
#pragma unroll
  for (int i = 0; i < kEight; ++i) {
    const double term = static_cast<double>(rule::axis_term<Variant, kPass>(
        k, tile.param[i], tile.grad[i], tile.state[kState][i]..., tile.number[kLine][i]...));
    squares[i] = i < place.count ? term * term : 0.0;
  }
}

/// Takes the sums of one band in a stripe: those of its rows, and those of each group's columns, which the
/// thread block then adds in the order of the groups.
template <class Rule, class Variant, int kPass>
__device__ __forceinline__ void measure_band(const Table& table, const rule::TensorCoefficients<Rule>& k,
                                             const AxisTile& tile, std::int64_t band, std::int64_t stripe,
                                             double (&columns)[kGroups][kStripe]) {
  const AxisEntry& axes = table.axes[tile.tensor];
  const Band rows = band_of(axes, band);
  const std::int64_t width = width_of(axes, stripe, 1);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, group = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t left = width - lane * kEight;
  const int count = left >= kEight ? kEight : left < 0 ? 0 : static_cast<int>(left);
  double sums[kEight] = {};
  for (std::int64_t r = group * kGroup; r < rows.rows && r < (group + 1) * kGroup; ++r) {
    const AnyStreams<Variant> streams(table.tensors[tile.tensor], table.grads[tile.tensor],
                                      segment_of(axes, tile.tensor, rows.row + r, stripe, 1));
    double squares[kEight];
    square_terms<Variant, kPass>(k, streams, Place(lane * kEight, count, 0), axes, squares,
                                 std::make_index_sequence<kStateCount<Variant>>{},
                                 std::make_index_sequence<kAxisCount<Variant>>{});
#pragma unroll
    for (int i = 0; i < kEight; ++i) sums[i] += squares[i];
    const double sum = row_sum(squares, lane);
    if (lane == 0) {
      declared_global(axes.row_sums)[(rows.row + r) * axes.stripes() + stripe] = sum;
    }
  }
  if constexpr ((rule::kAxisOf<Variant, kPass, rule::Axis::columns>) >= 0) {
#pragma unroll
    for (int i = 0; i < kEight; ++i) columns[group][lane * kEight + i] = sums[i];
    __syncthreads();
    const std::int64_t groups = (rows.rows + kGroup - 1) / kGroup;
    double* const to = declared_global(axes.column_sums) + band * axes.matrices.columns + stripe * kStripe;
    for (std::int64_t c = threadIdx.x; c < width; c += kAxisThreads) {
      double sum = 0.0;
      for (std::int64_t g = 0; g < groups; ++g) sum += columns[g][c];
      to[c] = sum;
    }
    __syncthreads();  // read before the next band overwrites them
  }
}

/// Takes the sums over rows and columns of the table's tiles. Thread blocks of kAxisThreads threads; any grid
/// size works.
template <class Rule, class Variant, int kPass>
__global__ void __launch_bounds__(kAxisThreads, 3) measure_axes(const Table table) {
  __shared__ double columns[kGroups][kStripe];
  for (std::int64_t t = blockIdx.x; t < table.axis_tile_count; t += gridDim.x) {
    const AxisTile tile = table.axis_tiles[t];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[tile.tensor];
    if (!k.step.active) continue;
    for (std::int64_t band = tile.band; band < tile.band + tile.bands; ++band) {
      for (std::int64_t stripe = tile.stripe; stripe < tile.stripe + tile.stripes; ++stripe) {
        measure_band<Rule, Variant, kPass>(table, k, tile, band, stripe, columns);
      }
    }
  }
}

/// Moves the states of the table's rows and columns, one thread for each.
template <class Rule, class Variant, int kPass>
__global__ void __launch_bounds__(kAxisThreads, 1) move_lines(const Table table) {
  for (std::int64_t i = blockIdx.x; i < table.axis_line_count; i += gridDim.x) {
    const AxisPart part = table.axis_lines[i];
    const rule::TensorCoefficients<Rule>& k = coefficients<Rule>(table)[part.tensor];
    if (!k.step.active) continue;
    for (std::int64_t line = threadIdx.x; line < part.count; line += kAxisThreads) {
      move_line<Variant, kPass>(k, table.axes[part.tensor], part.first + line);
    }
  }
}

/// Makes the numbers of one matrix along one axis, if the pass has a state there. Call it by all lanes.
template <class Variant, int kPass, rule::Axis kAlong, class Rule>
__device__ __forceinline__ void make_numbers_along(const rule::TensorCoefficients<Rule>& k,
                                                   const AxisEntry& axes, std::int64_t matrix, int lane) {
  constexpr int kAxis = rule::kAxisOf<Variant, kPass, kAlong>;
  if constexpr (kAxis >= 0) {
    const Lines lines = lines_of(axes, kAxis, kAlong, matrix);
    const double sum = fold_lanes<16, 8, 4, 2, 1>(lane_sum(lines, lane));
    step::make_numbers<Variant>(k, kAxis, lines, sum / static_cast<double>(lines.count), lane, kMeanLanes);
  }
}

/// Makes the numbers of the rows and columns of the table's matrices, one warp for each matrix.
template <class Rule, class Variant, int kPass>
__global__ void __launch_bounds__(kAxisThreads, 1) make_numbers(const Table table) {
  static_assert(kMeanLanes == kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t i = blockIdx.x; i < table.axis_matrix_count; i += gridDim.x) {
    const AxisPart part = table.axis_matrices[i];
    const rule::TensorCoefficients<Rule>& k = coefficients<Rule>(table)[part.tensor];
    if (!k.step.active) continue;
    for (std::int64_t m = threadIdx.x / kWarp; m < part.count; m += kAxisThreads / kWarp) {
      const AxisEntry& axes = table.axes[part.tensor];
      make_numbers_along<Variant, kPass, rule::Axis::rows>(k, axes, part.first + m, lane);
      make_numbers_along<Variant, kPass, rule::Axis::columns>(k, axes, part.first + m, lane);
    }
  }
}

/// A kernel whose thread blocks stride over as many units as a member of the table says.
template <void (*kKernel)(Table), std::int64_t Table::*kCount>
CudaLaunch over_units() {
  return {.resident_blocks = [] { return resident_blocks(kKernel, kAxisThreads); },
          .launch =
              [](const Table& table, int resident, Stream stream) {
                launch(kKernel, {blocks_for(table.*kCount, resident), kAxisThreads, stream.handle()}, table);
              }};
}

/// The kernels of a pass of a variant.
template <class Rule, class Variant, int kPass>
CudaAxes axes_of() {
  if constexpr (kPass < kAxisPasses<Variant>) {
    return {over_units<measure_axes<Rule, Variant, kPass>, &Table::axis_tile_count>(),
            over_units<move_lines<Rule, Variant, kPass>, &Table::axis_line_count>(),
            over_units<make_numbers<Rule, Variant, kPass>, &Table::axis_matrix_count>()};
  } else {
    return {};
  }
}

}  // namespace onepass::kernels
