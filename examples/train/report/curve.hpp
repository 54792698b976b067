// curve.hpp - smoothing, thinning and comparison of curves.
#pragma once

#include <cstddef>
#include <vector>

namespace train {

struct Point {
  double x = 0.0;
  double y = 0.0;
};

/// Replaces element i by the mean of the last quarter of elements 0 to i. This window has equal length
/// everywhere on a logarithmic axis: few elements at the start, where curves fall, and many at the end, where
/// they are noisy.
std::vector<double> smooth(const std::vector<double>& values);

/// Drops points that are closer than `distance` to the previous point kept. Keeps the first and the last
/// point.
std::vector<Point> thin(const std::vector<Point>& points, double distance);

/// Drops points that are within `distance` of the straight line between the neighbours that are kept (Douglas
/// and Peucker 1973). Keeps the first and the last point.
std::vector<Point> straighten(const std::vector<Point>& points, double distance);

/// Returns for each curve the index of the first curve that it coincides with, or its own index. Curves
/// coincide if they have equally many points and their distance, averaged along the first curve, is at most
/// `distance`.
std::vector<std::size_t> find_coinciding(const std::vector<std::vector<Point>>& curves, double distance);

}  // namespace train
