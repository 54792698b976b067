// plot_test.cpp - scales, ticks, curves and the SVG of a picture.
#include "report/plot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "report/scale.hpp"

namespace train {
namespace {

TEST(Scale, MapsItsEndsToThePixels) {
  const Scale linear(2, 4, false, 100, 300);
  EXPECT_DOUBLE_EQ(linear(2), 100);
  EXPECT_DOUBLE_EQ(linear(3), 200);
  EXPECT_DOUBLE_EQ(linear(4), 300);
  const Scale logarithmic(0.1, 10, true, 400, 0);
  EXPECT_NEAR(logarithmic(0.1), 400, 1e-9);
  EXPECT_NEAR(logarithmic(1), 200, 1e-9);
  EXPECT_NEAR(logarithmic(10), 0, 1e-9);
}

TEST(Scale, LinearTicksAreRoundAndWithinTheRange) {
  const std::vector<double> ticks = Scale(0.13, 5, false, 0, 1).ticks();
  EXPECT_EQ(ticks, (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_EQ(Scale(-0.5, 0.5, false, 0, 1).ticks().size(), 5u);  // -0.4, -0.2, 0, 0.2, 0.4
}

TEST(Scale, LogarithmicTicksSuitSeveralPowersOfTenAndPartsOfOne) {
  const std::vector<double> many = Scale(0.5, 100, true, 0, 1).ticks();
  const std::vector<double> expected{0.5, 1, 2, 5, 10, 20, 50, 100};
  ASSERT_EQ(many.size(), expected.size());
  for (std::size_t i = 0; i < many.size(); ++i) EXPECT_NEAR(many[i], expected[i], 1e-9);
  const std::vector<double> few = Scale(0.25, 2.4, true, 0, 1).ticks();
  ASSERT_EQ(few.size(), 7u);
  EXPECT_NEAR(few.front(), 0.3, 1e-12);
  EXPECT_NEAR(few.back(), 2, 1e-12);
}

TEST(Scale, ManyPowersOfTenGetFewTicks) {
  const std::vector<double> ticks = Scale(1e-4, 1e31, true, 0, 1).ticks();
  EXPECT_LE(ticks.size(), 14u);
  EXPECT_GE(ticks.size(), 5u);
  EXPECT_NEAR(ticks[1] / ticks[0], 1000, 1e-6);
}

TEST(Smooth, AveragesTheLastQuarter) {
  EXPECT_EQ(smooth({4, 2}), (std::vector<double>{4, 2}));
  const std::vector<double> smoothed = smooth({1, 1, 1, 1, 8, 10, 0, 2});
  EXPECT_DOUBLE_EQ(smoothed[4], 4.5);
  EXPECT_DOUBLE_EQ(smoothed[7], 1.0);
  EXPECT_TRUE(smooth({}).empty());
}

TEST(Thin, KeepsBothEndsAndDropsClosePoints) {
  const std::vector<Point> thinned = thin({{0, 0}, {0.5, 0}, {2, 0}, {2.5, 0}, {2.6, 0}}, 1.5);
  ASSERT_EQ(thinned.size(), 3u);
  EXPECT_EQ(thinned[1].x, 2);
  EXPECT_EQ(thinned[2].x, 2.6);
  EXPECT_TRUE(thin({}, 1.0).empty());
}

TEST(Straighten, KeepsCornersAndDropsPointsOnTheLines) {
  // The curve runs along, steps up, runs along, and wiggles by less than the tolerance.
  const std::vector<Point> straight =
      straighten({{0, 0}, {1, 0}, {2, 0}, {2, 5}, {3, 5}, {4, 5.2}, {5, 5}}, 0.4);
  ASSERT_EQ(straight.size(), 4u);
  EXPECT_EQ(straight[1].y, 0);
  EXPECT_EQ(straight[2].y, 5);
  EXPECT_EQ(straight[3].x, 5);
  EXPECT_EQ(straighten({{0, 0}, {5, 0}, {0, 0}}, 0.4).size(), 3u);  // there and back
  EXPECT_EQ(straighten({{0, 0}, {1, 9}}, 0.4).size(), 2u);
}

TEST(Coinciding, DependsOnTheDistanceAveragedAlongTheCurve) {
  const std::vector<Point> flat{{0, 0}, {10, 0}, {100, 0}};
  const std::vector<Point> near{{0, 1}, {10, 1}, {100, 1}};
  const std::vector<Point> shorter{{0, 0}, {10, 0}};
  // Three of five points are near each other, but most of the length is not.
  const std::vector<Point> dense{{0, 9}, {90, 9}, {91, 0}, {92, 0}, {93, 0}};
  const std::vector<Point> dense_flat{{0, 0}, {90, 0}, {91, 0}, {92, 0}, {93, 0}};
  EXPECT_EQ(find_coinciding({flat, near, flat}, 2), (std::vector<std::size_t>{0, 0, 0}));
  EXPECT_EQ(find_coinciding({flat, near, flat}, 0.5), (std::vector<std::size_t>{0, 1, 0}));
  EXPECT_EQ(find_coinciding({flat, shorter, {}, {}}, 2), (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(find_coinciding({dense_flat, dense}, 5), (std::vector<std::size_t>{0, 1}));
}

Figure figure_with(std::vector<Curve> curves) {
  Figure figure{.title = "t", .subtitle = "s", .keys = {}, .panels = {}};
  for (std::size_t i = 0; i < curves.size(); ++i) {
    curves[i].key = i;
    figure.keys.push_back({.label = "curve", .note = "note"});
  }
  figure.panels.push_back({.title = "panel", .x = {}, .y = {}, .curves = std::move(curves)});
  return figure;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(Svg, EscapesTheSpecialCharactersOfXml) {
  EXPECT_EQ(escape_xml("a<b & \"c\" > 'd'"), "a&lt;b &amp; &quot;c&quot; &gt; &apos;d&apos;");
  Figure figure = figure_with({{.points = {{0, 1}}}});
  figure.title = "1 < 2";
  figure.keys[0] = {.label = "R&D", .note = "<note>"};
  figure.panels[0].title = "\"panel\"";
  const std::string svg = render_svg(figure);
  EXPECT_NE(svg.find("1 &lt; 2"), std::string::npos);
  EXPECT_NE(svg.find("R&amp;D"), std::string::npos);
  EXPECT_NE(svg.find("&lt;note&gt;"), std::string::npos);
  EXPECT_NE(svg.find("&quot;panel&quot;"), std::string::npos);
  EXPECT_EQ(svg.find("1 < 2"), std::string::npos);
}

/// Checks that the points of every polyline are inside the picture.
void expect_inside(const std::string& svg) {
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  const double height = std::strtod(svg.c_str() + svg.find("height=\"") + 8, nullptr);
  ASSERT_GT(height, 400.0);
  ASSERT_GT(count(svg, " points=\""), 0u);
  for (std::size_t at = svg.find(" points=\""); at != std::string::npos;
       at = svg.find(" points=\"", at + 1)) {
    const char* next = svg.c_str() + at + 9;
    while (*next != '"') {
      char* end = nullptr;
      const double x = std::strtod(next, &end);
      const double y = std::strtod(end + 1, &end);
      EXPECT_TRUE(x >= 0 && x <= 960 && y >= 0 && y <= height) << x << "," << y;
      next = end + (*end == ' ' ? 1 : 0);
    }
  }
}

TEST(Svg, SinglePointsEqualPointsAndManyPointsStayInsideThePicture) {
  for (const Axis::Spacing spacing : {Axis::Spacing::linear, Axis::Spacing::logarithmic}) {
    for (const std::vector<Point>& points : std::vector<std::vector<Point>>{
             {{1, 2.3}}, {{1, 2}, {2, 2}, {3, 2}}, {{0, 0}, {1, 100}}, {{1, -3}, {2, 0}, {3, 1e-9}}, {}}) {
      Figure figure = figure_with({{.points = points}});
      figure.panels[0].x.spacing = figure.panels[0].y.spacing = spacing;
      expect_inside(render_svg(figure));
    }
  }
  Curve curve;
  for (int i = 1; i < 10000; ++i) curve.points.push_back({i / 100.0, 1.0 / i});
  const std::string svg = render_svg(figure_with({curve}));
  expect_inside(svg);
  EXPECT_LT(svg.size(), 20000u);
}

TEST(Svg, PointsBeyondTheAxisAreCutOff) {
  Figure figure = figure_with({{.breaks_off = true, .points = {{1, 1}, {2, 2}, {3, 1e30}}}});
  figure.panels[0].y.high = 4.0;
  const std::string svg = render_svg(figure);
  expect_inside(svg);
  EXPECT_EQ(count(svg, "breaks-off"), 1u);
  EXPECT_EQ(svg.find("1e+"), std::string::npos) << "no tick beyond the end";
}

TEST(Svg, CoincidingCurvesShareTheLineInDashes) {
  const std::vector<Point> points{{0, 1}, {1, 2}};
  const std::string shared = render_svg(figure_with({{.points = points}, {.points = points}}));
  EXPECT_EQ(count(shared, "stroke-dasharray"), 2u);
  EXPECT_EQ(count(shared, "stroke-dashoffset=\"-0\""), 1u);
  const std::string apart = render_svg(figure_with({{.points = points}, {.points = {{0, 2}, {1, 1}}}}));
  EXPECT_EQ(count(apart, "stroke-dasharray"), 0u);
}

TEST(Svg, PanelsAfterTheFirstStandSideBySide) {
  Figure figure = figure_with({{.points = {{0, 1}, {1, 2}}}});
  const std::string one = render_svg(figure);
  figure.panels.resize(3, figure.panels.front());
  const std::string three = render_svg(figure);
  expect_inside(three);
  EXPECT_EQ(count(one, "<clipPath"), 1u);
  EXPECT_EQ(count(three, "<clipPath"), 3u);
  EXPECT_EQ(count(three, "<polyline"), 3u);
}

}  // namespace
}  // namespace train
