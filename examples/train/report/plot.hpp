// plot.hpp - line charts as self-contained SVG: one wide panel, and smaller ones under it.
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

  std::size_t key = 0;  ///< Which of the figure's keys names and colours it.
  Style style = Style::line;
  bool marked = false;        ///< Each point has a mark.
  bool breaks_off = false;    ///< Marks the last point with a cross.
  std::vector<Point> points;  ///< x ascends; finite.
};

struct Axis {
  enum class Spacing { linear, logarithmic };

  std::string label = {};
  Spacing spacing = Spacing::linear;
  std::optional<double> low = {}, high = {};  ///< Ends; what lies beyond is cut off. Else the points'.
};

/// The y axis has no label: the title stands over it.
struct Panel {
  std::string title;
  Axis x, y;
  std::vector<Curve> curves;  ///< The later ones lie on top.
};

/// What a colour stands for.
struct Key {
  std::string label;
  std::string note;  ///< Stands behind the label, paler.
};

struct Figure {
  std::string title;
  std::string subtitle;
  std::vector<Key> keys;  ///< Each has a colour of its own, up to eight.
  std::vector<Panel> panels;
};

/// The picture, 960 wide: the keys, the first panel, and the others side by side under it. Where curves hide
/// each other, they share the line in dashes.
std::string render_svg(const Figure& figure);

/// Replaces what XML gives a meaning: & < > " '
std::string escape_xml(std::string_view text);

}  // namespace train
