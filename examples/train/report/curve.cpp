// curve.cpp - smooths, thins and compares lists of points.
#include "report/curve.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace train {
namespace {

/// Returns the distance of a point from the line segment between `from` and `to`.
double distance_to_line(Point point, Point from, Point to) {
  const double x = to.x - from.x;
  const double y = to.y - from.y;
  const double square = x * x + y * y;
  const double along = ((point.x - from.x) * x + (point.y - from.y) * y) / (square > 0.0 ? square : 1.0);
  const double nearest = std::clamp(along, 0.0, 1.0);
  return std::hypot(point.x - from.x - nearest * x, point.y - from.y - nearest * y);
}

}  // namespace

std::vector<double> smooth(const std::vector<double>& values) {
  constexpr std::size_t kShare = 4;
  std::vector<double> sums{0.0};
  std::vector<double> smoothed;
  for (const double value : values) {
    sums.push_back(sums.back() + value);
    const std::size_t end = sums.size() - 1;
    const std::size_t window = (end + kShare - 1) / kShare;
    smoothed.push_back((sums[end] - sums[end - window]) / static_cast<double>(window));
  }
  return smoothed;
}

std::vector<Point> thin(const std::vector<Point>& points, double distance) {
  std::vector<Point> kept;
  for (const Point& point : points) {
    const bool last = &point == &points.back();
    const bool far = kept.empty() || std::hypot(point.x - kept.back().x, point.y - kept.back().y) >= distance;
    if (far || last) kept.push_back(point);
  }
  return kept;
}

std::vector<Point> straighten(const std::vector<Point>& points, double distance) {
  if (points.size() < 3) return points;
  std::vector<bool> keep(points.size());
  keep.front() = keep.back() = true;
  std::vector<std::pair<std::size_t, std::size_t>> open{{0, points.size() - 1}};
  while (!open.empty()) {
    const auto [first, last] = open.back();
    open.pop_back();
    std::size_t farthest = first;
    double most = distance;
    for (std::size_t i = first + 1; i < last; ++i) {
      const double away = distance_to_line(points[i], points[first], points[last]);
      if (away > most) {
        most = away;
        farthest = i;
      }
    }
    if (farthest == first) continue;
    keep[farthest] = true;
    open.push_back({first, farthest});
    open.push_back({farthest, last});
  }
  std::vector<Point> kept;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (keep[i]) kept.push_back(points[i]);
  }
  return kept;
}

std::vector<std::size_t> find_coinciding(const std::vector<std::vector<Point>>& curves, double distance) {
  const auto coincide = [&](const std::vector<Point>& one, const std::vector<Point>& other) {
    if (one.size() != other.size() || one.empty()) return false;
    // Distances are weighted by the length of the curve, so dense points do not count more.
    double length = 0.0;
    double area = 0.0;
    for (std::size_t i = 0; i + 1 < one.size(); ++i) {
      const double step = std::hypot(one[i + 1].x - one[i].x, one[i + 1].y - one[i].y);
      length += step;
      area += step * std::hypot(one[i].x - other[i].x, one[i].y - other[i].y);
    }
    const double end = std::hypot(one.back().x - other.back().x, one.back().y - other.back().y);
    return length > 0.0 ? area <= distance * length : end <= distance;
  };
  std::vector<std::size_t> first(curves.size());
  for (std::size_t i = 0; i < curves.size(); ++i) {
    first[i] = i;
    for (std::size_t other = 0; other < i && first[i] == i; ++other) {
      if (first[other] == other && coincide(curves[other], curves[i])) first[i] = other;
    }
  }
  return first;
}

}  // namespace train
