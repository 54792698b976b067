// plot.cpp - writes a figure as SVG.
#include "report/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include "report/scale.hpp"

namespace train {
namespace {

constexpr double kWidth = 960;
constexpr double kEdge = 30;  // free space at the left and right edge of the picture
constexpr double kKeysTop = 100;
constexpr double kKeyLine = 26;
constexpr double kTickRoom = 54;  // room left of a panel for the numbers of its y axis
constexpr double kTitleRoom = 34;
constexpr double kLabelRoom = 62;  // room below a panel
constexpr double kLargePanel = 340;
constexpr double kSmallPanel = 210;
constexpr double kGap = 32;           // between panels side by side
constexpr double kMargin = 0.05;      // share of the y axis that stays free at both ends
constexpr double kCloseEnough = 1.5;  // pixels between the points of a curve
constexpr double kStraight = 0.4;     // pixels that a curve may deviate from its drawn lines
constexpr double kHidden = 2.0;       // mean distance in pixels below which one curve hides another
constexpr double kDash = 9.0;
constexpr double kOutside =
    8.0;  // farthest distance in pixels from the panel at which points are drawn (clipped)

// People with any kind of colour vision can distinguish the first eight colours (after Okabe and Ito 2008,
// darkened for thin lines).
constexpr std::array kColours{"#7a828e", "#d98200", "#0a9373", "#1f77c8", "#c2377e", "#6f4fc4",
                              "#8a6d3b", "#222222", "#d1463a", "#35b5cc", "#93b01e", "#e79ac0"};
constexpr const char* kPaper = "#fcfcfb";
constexpr const char* kInk = "#1d2329";
constexpr const char* kPaleInk = "#5c6670";
constexpr const char* kLine = "#9aa3ab";

const char* colour(std::size_t key) { return kColours[key % kColours.size()]; }

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

struct Box {
  double left, right, top, bottom;
};

/// A panel with its place in the picture and its scales.
struct Placed {
  const Panel& panel;
  Box box;
  Scale x, y;

  [[nodiscard]] Point operator()(Point point) const {
    return {std::clamp(x(point.x), box.left - kOutside, box.right + kOutside),
            std::clamp(y(point.y), box.top - kOutside, box.bottom + kOutside)};
  }
};

/// Makes the scale of an axis from pixels.low to pixels.high. `margin` is the share of the axis that stays
/// free at both ends.
Scale make_scale(const Axis& axis, Range range, double margin, Range pixels) {
  const bool logarithmic = axis.spacing == Axis::Spacing::logarithmic;
  range = {axis.low.value_or(range.low), axis.high.value_or(range.high)};
  if (!(range.low <= range.high)) range = logarithmic ? Range{1.0, 10.0} : Range{0.0, 1.0};
  if (range.low == range.high) {
    range = logarithmic ? Range{range.low / 2, range.high * 2} : Range{range.low - 0.5, range.high + 0.5};
  }
  if (logarithmic) {
    const double factor = std::pow(range.high / range.low, margin);
    return {range.low / factor, range.high * factor, true, pixels.low, pixels.high};
  }
  const double more = margin * (range.high - range.low);
  return {range.low - more, range.high + more, false, pixels.low, pixels.high};
}

Placed place(const Panel& panel, Box box) {
  Range x;
  Range y;
  for (const Curve& curve : panel.curves) {
    for (const Point& point : curve.points) {
      if (panel.x.spacing == Axis::Spacing::linear || point.x > 0.0) x.include(point.x);
      if (panel.y.spacing == Axis::Spacing::linear || point.y > 0.0) y.include(point.y);
    }
  }
  return {panel, box, make_scale(panel.x, x, 0.0, {box.left, box.right}),
          make_scale(panel.y, y, kMargin, {box.bottom, box.top})};
}

using Out = std::back_insert_iterator<std::string>;

struct TextStyle {
  double size = 14;
  const char* colour = kPaleInk;
  const char* anchor = "start";
  bool bold = false;
};

void draw_text(Out out, Point at, const TextStyle& style, std::string_view text) {
  fmt::format_to(
      out, "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{}>{}</text>\n",
      at.x, at.y, style.size, style.colour, style.anchor, style.bold ? " font-weight=\"bold\"" : "",
      escape_xml(text));
}

void draw_line(Out out, Point from, Point to, std::string_view stroke) {
  fmt::format_to(out, "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke={}/>\n", from.x,
                 to.x, from.y, to.y, stroke);
}

void draw_frame(Out out, const Figure& figure, double height) {
  fmt::format_to(out,
                 R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}")"
                 R"( font-family="'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif">)"
                 "\n<title>{2}</title>\n"
                 R"(<rect width="{0}" height="{1}" rx="10" fill="{3}"/>)"
                 "\n",
                 kWidth, height, escape_xml(figure.title), kPaper);
  draw_text(out, {kEdge, 42}, {.size = 22, .colour = kInk, .bold = true}, figure.title);
  draw_text(out, {kEdge, 67}, {}, figure.subtitle);
}

/// Returns how many keys fit side by side. Letters of size 15 are about 8.5 pixels wide.
std::size_t key_columns(const Figure& figure) {
  std::size_t longest = 1;
  for (const Key& key : figure.keys) longest = std::max(longest, key.label.size() + key.note.size());
  const double width = 8.5 * static_cast<double>(longest) + 70;
  return static_cast<std::size_t>(std::clamp((kWidth - 2 * kEdge) / width, 1.0, 3.0));
}

double keys_height(const Figure& figure) {
  const std::size_t columns = key_columns(figure);
  return kKeyLine * static_cast<double>((figure.keys.size() + columns - 1) / columns);
}

void draw_keys(Out out, const Figure& figure) {
  const std::size_t columns = key_columns(figure);
  const double width = (kWidth - 2 * kEdge) / static_cast<double>(columns);
  for (std::size_t i = 0; i < figure.keys.size(); ++i) {
    const double x = kEdge + width * static_cast<double>(i % columns);
    const double y = kKeysTop + kKeyLine * static_cast<double>(i / columns);
    draw_line(out, {x, y - 5}, {x + 30, y - 5},
              fmt::format("\"{}\" stroke-width=\"4\" stroke-linecap=\"round\"", colour(i)));
    fmt::format_to(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"15\"><tspan font-weight=\"bold\" fill=\"{}\">{}</tspan>"
        "<tspan dx=\"10\" fill=\"{}\">{}</tspan></text>\n",
        x + 42, y, colour(i), escape_xml(figure.keys[i].label), kPaleInk, escape_xml(figure.keys[i].note));
  }
}

void draw_axes(Out out, const Placed& placed) {
  const Box& box = placed.box;
  draw_text(out, {box.left - kTickRoom, box.top - 16}, {.colour = kInk, .bold = true}, placed.panel.title);
  for (const double tick : placed.y.ticks()) {
    const double y = placed.y(tick);
    draw_line(out, {box.left, y}, {box.right, y}, "\"#e3e5e8\"");
    draw_text(out, {box.left - 8, y + 4.5}, {.size = 13, .anchor = "end"}, fmt::format("{:g}", tick));
  }
  for (const double tick : placed.x.ticks()) {
    const double x = placed.x(tick);
    draw_line(out, {x, box.bottom}, {x, box.bottom + 6}, fmt::format("\"{}\"", kLine));
    draw_text(out, {x, box.bottom + 22}, {.size = 13, .anchor = "middle"}, fmt::format("{:g}", tick));
  }
  draw_line(out, {box.left, box.bottom}, {box.right, box.bottom}, fmt::format("\"{}\"", kLine));
  draw_text(out, {(box.left + box.right) / 2, box.bottom + 44}, {.anchor = "middle"}, placed.panel.x.label);
}

/// Returns the dash pattern by which curve i shares its line with the curves that coincide with it. `first`
/// is the result of find_coinciding().
std::string dashes(const std::vector<std::size_t>& first, std::size_t i) {
  const auto all = std::count(first.begin(), first.end(), first[i]);
  const auto before = std::count(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(i), first[i]);
  if (all < 2) return R"( stroke-linecap="round")";
  return fmt::format(R"( stroke-dasharray="{} {}" stroke-dashoffset="{}")", kDash,
                     kDash * static_cast<double>(all - 1), -kDash * static_cast<double>(before));
}

void draw_line_through(Out out, const std::vector<Point>& pixels, std::string_view stroke) {
  fmt::format_to(out, "<polyline fill=\"none\" stroke-linejoin=\"round\" {} points=\"", stroke);
  for (const Point& point : straighten(thin(pixels, kCloseEnough), kStraight))
    fmt::format_to(out, "{:.1f},{:.1f} ", point.x, point.y);
  fmt::format_to(out, "\"/>\n");
}

void draw_cross(Out out, Point at, const Box& box, const char* stroke) {
  constexpr double kArm = 6;
  const Point middle{std::clamp(at.x, box.left, box.right), std::clamp(at.y, box.top, box.bottom)};
  fmt::format_to(out,
                 "<path class=\"breaks-off\" d=\"M{0:.1f},{2:.1f} L{1:.1f},{3:.1f} M{0:.1f},{3:.1f} "
                 "L{1:.1f},{2:.1f}\" stroke=\"{4}\" stroke-width=\"3.2\" stroke-linecap=\"round\"/>\n",
                 middle.x - kArm, middle.x + kArm, middle.y - kArm, middle.y + kArm, stroke);
}

void draw_curve(Out out, const Curve& curve, const std::vector<Point>& pixels, const std::string& dashes) {
  const char* stroke = colour(curve.key);
  const bool dotted = curve.style == Curve::Style::dotted;
  draw_line_through(
      out, pixels,
      fmt::format("stroke=\"{}\" {}", stroke,
                  dotted ? std::string(R"(stroke-width="2" stroke-dasharray="0.1 5" stroke-linecap="round")")
                         : fmt::format("stroke-width=\"2.4\"{}", dashes)));
  if (!curve.marked) return;
  for (const Point& point : pixels) {
    fmt::format_to(out,
                   "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\" stroke=\"{}\" "
                   "stroke-width=\"1.4\"/>\n",
                   point.x, point.y, dotted ? kPaper : stroke, stroke);
  }
}

void draw_curves(Out out, const Placed& placed, std::size_t number) {
  const Box& box = placed.box;
  const std::vector<Curve>& curves = placed.panel.curves;
  std::vector<std::vector<Point>> pixels(curves.size());
  for (std::size_t i = 0; i < curves.size(); ++i) {
    for (const Point& point : curves[i].points) pixels[i].push_back(placed(point));
  }
  const std::vector<std::size_t> first = find_coinciding(pixels, kHidden);
  fmt::format_to(
      out,
      "<clipPath id=\"panel{0}\"><rect x=\"{1}\" y=\"{2}\" width=\"{3}\" height=\"{4}\"/></clipPath>\n"
      "<g clip-path=\"url(#panel{0})\">\n",
      number, box.left - 4, box.top - 4, box.right - box.left + 8, box.bottom - box.top + 8);
  for (std::size_t i = 0; i < curves.size(); ++i) draw_curve(out, curves[i], pixels[i], dashes(first, i));
  fmt::format_to(out, "</g>\n");
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].breaks_off && !pixels[i].empty())
      draw_cross(out, pixels[i].back(), box, colour(curves[i].key));
  }
}

/// Places the first panel over the whole width and the others side by side below it.
std::vector<Placed> place_panels(const Figure& figure) {
  std::vector<Placed> placed;
  const double first_top = kKeysTop + keys_height(figure) + kTitleRoom - 10;
  const double row_top = first_top + kLargePanel + kLabelRoom + kTitleRoom;
  const auto beside = static_cast<double>(std::max<std::size_t>(figure.panels.size(), 2) - 1);
  const double width = (kWidth - 2 * kEdge - kGap * (beside - 1)) / beside;
  for (std::size_t i = 0; i < figure.panels.size(); ++i) {
    if (i == 0) {
      placed.push_back(
          place(figure.panels[i], {kEdge + kTickRoom, kWidth - kEdge, first_top, first_top + kLargePanel}));
    } else {
      const double left = kEdge + (width + kGap) * static_cast<double>(i - 1);
      placed.push_back(
          place(figure.panels[i], {left + kTickRoom, left + width, row_top, row_top + kSmallPanel}));
    }
  }
  return placed;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string render_svg(const Figure& figure) {
  const std::vector<Placed> placed = place_panels(figure);
  std::string svg;
  const Out out = std::back_inserter(svg);
  draw_frame(out, figure,
             placed.empty() ? kKeysTop + keys_height(figure) : placed.back().box.bottom + kLabelRoom);
  draw_keys(out, figure);
  for (std::size_t i = 0; i < placed.size(); ++i) {
    draw_axes(out, placed[i]);
    draw_curves(out, placed[i], i);
  }
  svg += "</svg>\n";
  return svg;
}

}  // namespace train
