// plot_test.cpp - scales, ticks, smoothing and the text of a picture.
#include "report/plot.hpp"

#include <gtest/gtest.h>

#include <cmath>

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

TEST(Scale, LogarithmicTicksSpanSeveralPowersOrOnePart) {
  const std::vector<double> many = Scale(0.5, 100, true, 0, 1).ticks();
  const std::vector<double> expected{0.5, 1, 2, 5, 10, 20, 50, 100};
  ASSERT_EQ(many.size(), expected.size());
  for (std::size_t i = 0; i < many.size(); ++i) EXPECT_NEAR(many[i], expected[i], 1e-9);
  const std::vector<double> few = Scale(0.25, 2.4, true, 0, 1).ticks();
  ASSERT_EQ(few.size(), 7u);
  EXPECT_NEAR(few.front(), 0.3, 1e-12);
  EXPECT_NEAR(few.back(), 2, 1e-12);
}

TEST(Smooth, AveragesTheLastQuarter) {
  EXPECT_EQ(smooth({4, 2}), (std::vector<double>{4, 2}));
  const std::vector<double> smoothed = smooth({1, 1, 1, 1, 8, 10, 0, 2});
  EXPECT_DOUBLE_EQ(smoothed[4], 4.5);
  EXPECT_DOUBLE_EQ(smoothed[7], 1.0);
  EXPECT_TRUE(smooth({}).empty());
}

TEST(Thin, KeepsBothEndsAndDropsWhatIsClose) {
  const std::vector<Point> thinned = thin({{0, 0}, {0.5, 0}, {2, 0}, {2.5, 0}, {2.6, 0}}, 1.5);
  ASSERT_EQ(thinned.size(), 3u);
  EXPECT_EQ(thinned[1].x, 2);
  EXPECT_EQ(thinned[2].x, 2.6);
  EXPECT_TRUE(thin({}, 1.0).empty());
}

TEST(Svg, EscapesWhatXmlWouldRead) {
  EXPECT_EQ(escape_xml("a<b & \"c\" > 'd'"), "a&lt;b &amp; &quot;c&quot; &gt; &apos;d&apos;");
  Figure figure{
      .title = "1 < 2", .subtitle = {}, .x_label = {}, .y_label = "R&D", .note_label = {}, .curves = {}};
  const std::string svg = render_svg(figure);
  EXPECT_NE(svg.find("1 &lt; 2"), std::string::npos);
  EXPECT_NE(svg.find("R&amp;D"), std::string::npos);
  EXPECT_EQ(svg.find("1 < 2"), std::string::npos);
}

/// What the points of every polyline are, none of them outside the picture.
void expect_inside(const std::string& svg) {
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  std::size_t at = svg.find(" points=\"");
  ASSERT_NE(at, std::string::npos);
  const char* next = svg.c_str() + at + 9;
  while (*next != '"') {
    char* end = nullptr;
    const double x = std::strtod(next, &end);
    const double y = std::strtod(end + 1, &end);
    EXPECT_TRUE(x >= 0 && x <= 960 && y >= 0 && y <= 540) << x << "," << y;
    next = end + (*end == ' ' ? 1 : 0);
  }
}

TEST(Svg, DrawsOnePointEqualPointsAndManyPointsInsideThePicture) {
  Figure figure;
  figure.curves = {{.label = "one", .note = {}, .points = {{1, 2.3}}}};
  expect_inside(render_svg(figure));
  figure.curves = {{.label = "flat", .note = {}, .points = {{1, 2}, {2, 2}, {3, 2}}}};
  expect_inside(render_svg(figure));
  figure.curves = {{.label = "zero", .note = {}, .points = {{0, 0}, {1, 100}}}};
  expect_inside(render_svg(figure));
  figure.curves.front().points.clear();
  for (int i = 1; i < 10000; ++i) figure.curves.front().points.push_back({i / 100.0, 1.0 / i});
  const std::string svg = render_svg(figure);
  expect_inside(svg);
  EXPECT_LT(svg.size(), 20000u);
}

}  // namespace
}  // namespace train
