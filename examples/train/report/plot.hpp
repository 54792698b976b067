// plot.hpp - line charts as self-contained SVG: one wide panel and smaller panels below it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/curve.hpp"

namespace train {

struct Curve {
  enum class Style { line, dotted };

  std::size_t key = 0;  ///< Index of the figure's key that names and colours the curve.
  Style style = Style::line;
  bool marked = false;        ///< Draws a mark at each point.
  bool breaks_off = false;    ///< Marks the last point with a cross.
  std::vector<Point> points;  ///< Finite points in ascending order of x.
};

struct Axis {
  enum class Spacing { linear, logarithmic };

  std::string label = {};
  Spacing spacing = Spacing::linear;
  std::optional<double> low = {},
                        high = {};  ///< Ends; curves are cut off there. Empty: the range of the points.
};

/// A chart. The title stands above the y axis, which therefore has no label.
struct Panel {
  std::string title;
  Axis x, y;
  std::vector<Curve> curves;  ///< Later curves are drawn on top.
};

/// An entry of the legend.
struct Key {
  std::string label;
  std::string note;  ///< Follows the label in a paler colour.
};

struct Figure {
  std::string title;
  std::string subtitle;
  std::vector<Key> keys;  ///< Up to twelve keys have different colours.
  std::vector<Panel> panels;
};

/// Renders a picture that is 960 pixels wide: the keys, the first panel, and the other panels side by side
/// below it. Curves that would hide each other are drawn as alternating dashes.
std::string render_svg(const Figure& figure);

/// Escapes the characters & < > " ' for XML.
std::string escape_xml(std::string_view text);

}  // namespace train
