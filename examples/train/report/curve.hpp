// curve.hpp - lists of points, before and after they are put on paper.
#pragma once

#include <cstddef>
#include <vector>

namespace train {

struct Point {
  double x = 0.0;
  double y = 0.0;
};

/// Element i becomes the mean of the last quarter of elements 0 to i: on a logarithmic axis an equal length
/// everywhere, short at the start, where curves fall, and long at the end, where they are noisy.
std::vector<double> smooth(const std::vector<double>& values);

/// Leaves out points that lie closer than `distance` to the last one kept; keeps the first and the last.
std::vector<Point> thin(const std::vector<Point>& points, double distance);

/// Leaves out points that lie within `distance` of the straight line between their neighbours that are kept
/// (Douglas and Peucker 1973); keeps the first and the last.
std::vector<Point> straighten(const std::vector<Point>& points, double distance);

/// For each curve the first one that it lies on: as many points and, on average along the first,
/// at most `distance` apart. Its own number where there is none.
std::vector<std::size_t> find_coinciding(const std::vector<std::vector<Point>>& curves, double distance);

}  // namespace train
