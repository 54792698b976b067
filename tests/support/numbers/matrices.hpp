// matrices.hpp - parameters with shapes, for rules that keep numbers for rows and columns.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/model.hpp"

namespace onepass::test {

using Dimensions = std::vector<std::int64_t>;

/// Shapes around the sizes of groups, bands and stripes (step/axes.hpp), batches of small matrices, vectors,
/// and empty tensors.
inline const std::vector<Dimensions>& matrix_shapes() {
  static const std::vector<Dimensions> shapes{{1, 1},     {1, 7},     {7, 1},    {3, 5},       {0, 4},
                                              {15, 16},   {16, 17},   {17, 255}, {64, 256},    {65, 257},
                                              {2, 3, 3},  {12},       {3, 600},  {130, 33},    {5, 0},
                                              {2, 66, 9}, {40, 3, 3}, {300, 2},  {2, 2, 1, 8}, {1, 1031}};
  return shapes;
}

inline std::int64_t numel_of(const Dimensions& shape) {
  std::int64_t numel = 1;
  for (const std::int64_t size : shape) numel *= size;
  return numel;
}

/// The rows and columns of the matrices that a parameter consists of; none of a vector.
struct Sides {
  std::size_t rows = 0, columns = 0;

  static Sides of(const Dimensions& shape) {
    if (shape.size() < 2 || numel_of(shape) == 0) return {};
    return {static_cast<std::size_t>(shape[shape.size() - 2]), static_cast<std::size_t>(shape.back())};
  }
};

/// Returns the number of a state that each of `numel` elements has: its own, or that of its row or column.
inline std::vector<float> of_elements(const Sides& sides, std::string_view state, std::vector<float> stored,
                                      std::size_t numel) {
  const bool is_column = state.ends_with("_col") || state.starts_with("col_");
  const bool is_row = state.ends_with("_row") || state.starts_with("row_") || state == "vmean";
  if (sides.rows == 0 || !(is_row || is_column)) return stored;
  std::vector<float> all;
  for (std::size_t i = 0; i < numel; ++i) {
    const std::size_t matrix = i / (sides.rows * sides.columns);
    all.push_back(stored.at(is_row ? i / sides.columns : matrix * sides.columns + i % sides.columns));
  }
  return all;
}

/// Returns parameters with these shapes, one for each.
inline std::vector<Parameter> shaped(std::vector<Parameter> parameters,
                                     const std::vector<Dimensions>& shapes = matrix_shapes()) {
  for (std::size_t i = 0; i < shapes.size(); ++i) parameters[i].shape = shapes[i];
  return parameters;
}

/// Returns the sizes of models with these shapes, whose misalignments differ.
inline std::vector<Shape> sizes_of(const std::vector<Dimensions>& shapes = matrix_shapes()) {
  std::vector<Shape> sizes;
  for (const Dimensions& shape : shapes) {
    const int i = static_cast<int>(sizes.size());
    sizes.push_back({.numel = numel_of(shape), .value_misalignment = i % 3, .grad_misalignment = i / 3 % 3});
  }
  return sizes;
}
inline std::vector<std::int64_t> numels_of(const std::vector<Dimensions>& shapes = matrix_shapes()) {
  std::vector<std::int64_t> numels;
  for (const Dimensions& shape : shapes) numels.push_back(numel_of(shape));
  return numels;
}

/// The rules that keep numbers for rows and columns, with every set of states.
inline std::vector<Rule> matrix_rules() {
  return {Adafactor{.weight_decay = 0.1}, Adafactor{.beta1 = 0.9, .weight_decay = 0.1},
          CAME{.lr = 1e-3, .weight_decay = 0.1}, AdamMini{.weight_decay = 0.1}};
}

/// Returns a parameter after one step of a rule.
inline std::vector<float> stepped(const Rule& rule, std::vector<float> value, std::vector<float> gradient,
                                  std::vector<std::int64_t> shape = {}) {
  Parameter parameter{"p", std::span(value), std::span(gradient)};
  parameter.shape = std::move(shape);
  Optimizer optimizer{rule, std::vector<Parameter>{parameter}};
  optimizer.step();
  return value;
}

inline void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], 1e-6) << "element " << i;
}

}  // namespace onepass::test
