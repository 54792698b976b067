// plot.hpp - line charts as self-contained SVG.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace train {

struct Point {
  double x = 0.0;
  double y = 0.0;
};

/// Curves are drawn in the order given, each in a colour of its own.
struct Curve {
  std::string label;
  std::string note;           ///< Stands beside the label, paler; may be empty.
  bool dashed = false;        ///< Lets the curve under it be seen.
  std::vector<Point> points;  ///< x ascends.
};

struct Figure {
  std::string title;
  std::string subtitle;
  std::string x_label;
  std::string y_label;
  std::string note_label;  ///< Over the notes in the legend.
  std::vector<Curve> curves;
};

/// The picture, 960 x 540, with a legend in the corner that falling curves leave free. An axis is logarithmic
/// where its values are positive and span more than a factor of four.
std::string render_svg(const Figure& figure);

/// Element i becomes the mean of the last quarter of elements 0 to i: on a logarithmic axis an equal length
/// everywhere, short at the start, where curves fall, and long at the end, where they are noisy.
std::vector<double> smooth(const std::vector<double>& values);

/// Leaves out points that lie closer than `distance` to the last one kept; keeps the first and the last.
std::vector<Point> thin(const std::vector<Point>& points, double distance);

/// Replaces what XML gives a meaning: & < > " '
std::string escape_xml(std::string_view text);

/// Maps [low, high] to pixels [from, to], linearly or by the logarithm.
class Scale {
 public:
  Scale(double low, double high, bool logarithmic, double from, double to);

  [[nodiscard]] double operator()(double value) const;
  /// Round values in [low, high]: multiples of 1, 2 or 5 times a power of ten; on a logarithmic scale those
  /// of 1, 2 and 5, or of 1, 2, 3, 4, 5, 6 and 8 where that gives fewer than five.
  [[nodiscard]] std::vector<double> ticks() const;

 private:
  [[nodiscard]] std::vector<double> linear_ticks() const;
  [[nodiscard]] std::vector<double> log_ticks() const;

  double low_, high_;
  bool logarithmic_;
  double from_, to_;
};

}  // namespace train
