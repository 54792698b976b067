// plot.cpp - scales, ticks and the SVG text of a chart.
#include "report/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

namespace train {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 540;
constexpr double kLeft = 84;
constexpr double kRight = 924;
constexpr double kTop = 92;
constexpr double kBottom = 466;
constexpr double kEdge = 30;  // where the title starts
constexpr double kLegendLine = 26;
constexpr double kLogFrom = 4.0;         // span from which a logarithmic axis shows more
constexpr double kTickTolerance = 1e-9;  // of rounding, so that a tick at the very end is not lost
constexpr double kCloseEnough = 1.5;     // pixels between the points of a curve

// Told apart by people with any kind of colour vision (after Okabe and Ito 2008, darkened for thin lines).
constexpr std::array kColours{"#7a828e", "#d98200", "#0a9373", "#1f77c8",
                              "#c2377e", "#6f4fc4", "#8a6d3b", "#222222"};

constexpr const char* kPaper = "#fcfcfb";

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

struct Axes {
  Scale x, y;
};

/// `margin`: the share of the axis left free on both sides.
Scale make_scale(Range range, double margin, Range pixels) {
  if (!(range.low <= range.high)) range = {0.0, 1.0};
  if (range.low == range.high) range = {range.low - 0.5, range.high + 0.5};
  const bool logarithmic = range.low > 0.0 && range.high > kLogFrom * range.low;
  if (logarithmic) {
    const double factor = std::pow(range.high / range.low, margin);
    range = {range.low / factor, range.high * factor};
  } else {
    const double more = margin * (range.high - range.low);
    range = {range.low - more, range.high + more};
  }
  return {range.low, range.high, logarithmic, pixels.low, pixels.high};
}

Axes make_axes(const Figure& figure) {
  Range x;
  Range y;
  for (const Curve& curve : figure.curves) {
    for (const Point& point : curve.points) {
      x.include(point.x);
      y.include(point.y);
    }
  }
  return {make_scale(x, 0.0, {kLeft, kRight}), make_scale(y, 0.04, {kBottom, kTop})};
}

using Out = std::back_insert_iterator<std::string>;

void draw_frame(Out out, const Figure& figure) {
  fmt::format_to(out,
                 R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}")"
                 R"( font-family="'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif">)"
                 "\n<title>{2}</title>\n"
                 R"(<rect width="{0}" height="{1}" rx="10" fill="{3}"/>)"
                 "\n",
                 kWidth, kHeight, escape_xml(figure.title), kPaper);
  fmt::format_to(out,
                 R"(<text x="{}" y="42" font-size="22" font-weight="bold" fill="#1d2329">{}</text>)"
                 "\n",
                 kEdge, escape_xml(figure.title));
  fmt::format_to(out,
                 R"(<text x="{}" y="67" font-size="14" fill="#5c6670">{}</text>)"
                 "\n",
                 kEdge, escape_xml(figure.subtitle));
  fmt::format_to(out,
                 R"(<text x="{}" y="{}" font-size="14" fill="#3c444c" text-anchor="middle">{}</text>)"
                 "\n",
                 (kLeft + kRight) / 2, kBottom + 50, escape_xml(figure.x_label));
  fmt::format_to(out,
                 R"|(<text transform="translate({} {}) rotate(-90)" font-size="14" fill="#3c444c")|"
                 R"( text-anchor="middle">{}</text>)"
                 "\n",
                 kEdge, (kTop + kBottom) / 2, escape_xml(figure.y_label));
}

void draw_axes(Out out, const Axes& axes) {
  for (const double tick : axes.y.ticks()) {
    fmt::format_to(out,
                   R"(<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}" stroke="#e3e5e8"/>)"
                   R"(<text x="{3}" y="{4:.1f}" font-size="13" fill="#5c6670" text-anchor="end">{5:g}</text>)"
                   "\n",
                   kLeft, kRight, axes.y(tick), kLeft - 10, axes.y(tick) + 4.5, tick);
  }
  for (const double tick : axes.x.ticks()) {
    fmt::format_to(
        out,
        R"(<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}" stroke="#9aa3ab"/>)"
        R"(<text x="{0:.1f}" y="{3}" font-size="13" fill="#5c6670" text-anchor="middle">{4:g}</text>)"
        "\n",
        axes.x(tick), kBottom, kBottom + 6, kBottom + 23, tick);
  }
  fmt::format_to(out,
                 R"(<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="#9aa3ab"/>)"
                 "\n",
                 kLeft, kRight, kBottom, kBottom);
}

const char* dashes(const Curve& curve) {
  return curve.dashed ? R"( stroke-dasharray="7 6")" : R"( stroke-linecap="round")";
}

void draw_curve(Out out, const Curve& curve, const Axes& axes, const char* colour) {
  std::vector<Point> pixels;
  for (const Point& point : curve.points) pixels.push_back({axes.x(point.x), axes.y(point.y)});
  fmt::format_to(out,
                 R"(<polyline fill="none" stroke="{}" stroke-width="2.4" stroke-linejoin="round"{} points=")",
                 colour, dashes(curve));
  for (const Point& point : thin(pixels, kCloseEnough))
    fmt::format_to(out, "{:.1f},{:.1f} ", point.x, point.y);
  fmt::format_to(out, "\"/>\n");
}

void draw_legend(Out out, const Figure& figure) {
  constexpr double kFirst = kTop + 42;
  // Hides the lines of the grid behind the text.
  fmt::format_to(out, "<rect x=\"{}\" y=\"{}\" width=\"276\" height=\"{}\" fill=\"{}\"/>\n", kRight - 268,
                 kFirst - kLegendLine - 16, kLegendLine * static_cast<double>(figure.curves.size() + 1) + 8,
                 kPaper);
  fmt::format_to(out,
                 "<text x=\"{}\" y=\"{}\" font-size=\"13\" fill=\"#5c6670\" text-anchor=\"end\">{}</text>\n",
                 kRight - 8, kFirst - kLegendLine, escape_xml(figure.note_label));
  for (std::size_t i = 0; i < figure.curves.size(); ++i) {
    const Curve& curve = figure.curves[i];
    const char* colour = kColours[i % kColours.size()];
    const double y = kFirst + kLegendLine * static_cast<double>(i);
    fmt::format_to(out, R"(<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="{}" stroke-width="4"{}/>)",
                   kRight - 256, kRight - 223, y - 5, y - 5, colour, dashes(curve));
    fmt::format_to(out, R"(<text x="{}" y="{}" font-size="15" font-weight="bold" fill="{}">{}</text>)",
                   kRight - 210, y, colour, escape_xml(curve.label));
    fmt::format_to(
        out, "<text x=\"{}\" y=\"{}\" font-size=\"15\" fill=\"#3c444c\" text-anchor=\"end\">{}</text>\n",
        kRight - 8, y, escape_xml(curve.note));
  }
}

}  // namespace

Scale::Scale(double low, double high, bool logarithmic, double from, double to)
    : low_(low), high_(high), logarithmic_(logarithmic), from_(from), to_(to) {}

double Scale::operator()(double value) const {
  const double share =
      logarithmic_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<double> Scale::ticks() const { return logarithmic_ ? log_ticks() : linear_ticks(); }

std::vector<double> Scale::linear_ticks() const {
  constexpr double kMost = 8.0;
  double step = std::pow(10.0, std::floor(std::log10((high_ - low_) / kMost)));
  for (const double factor : {2.0, 2.5, 2.0}) {  // 1, 2, 5, 10 times a power of ten
    if ((high_ - low_) / step <= kMost) break;
    step *= factor;
  }
  const double tolerance = kTickTolerance * (high_ - low_);
  std::vector<double> ticks;
  for (double i = std::ceil((low_ - tolerance) / step); i * step <= high_ + tolerance; ++i) {
    ticks.push_back(i == 0.0 ? 0.0 : i * step);  // and not -0
  }
  return ticks;
}

std::vector<double> Scale::log_ticks() const {
  constexpr std::size_t kFewest = 5;
  const double low = low_ * (1.0 - kTickTolerance);
  const double high = high_ * (1.0 + kTickTolerance);
  std::vector<double> ticks;
  for (const std::vector<double>& multiples :
       {std::vector<double>{1, 2, 5}, std::vector<double>{1, 2, 3, 4, 5, 6, 8}}) {
    ticks.clear();
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10.0) {
      for (const double multiple : multiples) {
        if (multiple * power >= low && multiple * power <= high) ticks.push_back(multiple * power);
      }
    }
    if (ticks.size() >= kFewest) break;
  }
  return ticks;
}

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
  const Axes axes = make_axes(figure);
  std::string svg;
  const Out out = std::back_inserter(svg);
  draw_frame(out, figure);
  draw_axes(out, axes);
  draw_legend(out, figure);
  for (std::size_t i = 0; i < figure.curves.size(); ++i) {
    draw_curve(out, figure.curves[i], axes, kColours[i % kColours.size()]);
  }
  svg += "</svg>\n";
  return svg;
}

}  // namespace train
