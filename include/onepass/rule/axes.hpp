// axes.hpp - states of the rows and columns of a matrix, which a rule may keep in place of states of its
// elements.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

namespace onepass {
namespace rule {

/// The lines that have one number each: the rows of a matrix, or its columns.
enum class Axis : std::uint8_t { rows, columns };

/// A state of rows or columns: one float32 for each, in every format.
struct AxisState {
  const char* name;
  Axis axis;
  int pass = 0;  ///< Which pass moves it: 0, or 1.
};

/// The matrices that a parameter consists of: its last two dimensions, one after the other in memory.
struct Matrices {
  std::int64_t count = 0;  ///< 0: the parameter is a vector.
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  /// Returns how many rows, or columns, all of them have.
  [[nodiscard]] ONEPASS_LANE constexpr std::int64_t extent(Axis axis) const {
    return count * (axis == Axis::rows ? rows : columns);
  }
};

}  // namespace rule

/// A rule may keep numbers for the rows and columns of a matrix. It has variants for matrices beside those
/// for vectors, and says which bit of variant() tells them apart:
///
///     static constexpr unsigned kMatrixBit = 1;
///
/// variant() of the rule leaves that bit clear; an optimizer sets it for each parameter whose shape has two
/// dimensions or more. A variant for matrices lists the states of rows and columns, and has a number for each
/// element whose squares are averaged over its row and its column:
///
///     static constexpr std::array kAxes{rule::AxisState{"row_var", rule::Axis::rows},
///                                       rule::AxisState{"col_var", rule::Axis::columns}};
///     static float axis_term<kPass>(const Coefficients& k, float p, float g, float... states, float...
///     numbers);
///
/// Before the update, pass 0 goes over all elements, and each state of a row or column moves by the mean:
///
///     static void move_axis(const Coefficients& k, int axis, double mean, float& state);
///
/// `axis` is the index in kAxes. Then the rule makes of each state, and of the mean of all such states of the
/// matrix, the number that update() gets after the states of an element, one for each of kAxes:
///
///     static float axis_number(const Coefficients& k, int axis, float state, double mean);
///
/// measure() of a rule with sums gets these numbers too, since it comes after pass 0. Pass 1 comes after
/// finish(); its axis_term() gets the numbers of pass 0, and update() those of both. kAxisStreams lists for
/// each pass which streams its axis_term() reads, as kMeasured does. States of elements that it reads stay
/// float32 in every format (kFloat32), since rows begin within the blocks that share a scale.
template <class Variant>
inline constexpr int kAxisCount = 0;
template <class Variant>
requires requires { Variant::kAxes; }
inline constexpr int kAxisCount<Variant> = static_cast<int>(Variant::kAxes.size());

/// Number of passes over the elements that move states of rows and columns.
template <class Variant>
inline constexpr int kAxisPasses = 0;
template <class Variant>
requires requires { Variant::kAxes; }
inline constexpr int kAxisPasses<Variant> = Variant::kAxes.back().pass + 1;

/// The bit of a rule's variants that are for matrices; 0 if it has none.
template <class Rule>
inline constexpr unsigned kMatrixBit = 0;
template <class Rule>
requires requires { Rule::kMatrixBit; }
inline constexpr unsigned kMatrixBit<Rule> = Rule::kMatrixBit;

namespace rule {

template <class Variant>
constexpr int axis_of(int pass, Axis axis) {
  for (std::size_t i = 0; i < Variant::kAxes.size(); ++i) {
    if (Variant::kAxes[i].pass == pass && Variant::kAxes[i].axis == axis) return static_cast<int>(i);
  }
  return -1;
}

/// The index in kAxes of the state of an axis that a pass moves; -1 if there is none.
template <class Variant, int kPass, Axis kAlong>
inline constexpr int kAxisOf = axis_of<Variant>(kPass, kAlong);

/// Bits of the streams that axis_term() of a pass reads; 0 if there is no such pass.
template <class Variant, int kPass>
inline constexpr unsigned kAxisRead = 0;
template <class Variant, int kPass>
requires(kPass < kAxisPasses<Variant>) inline constexpr unsigned kAxisRead<Variant, kPass> =
    Variant::kAxisStreams[kPass];

}  // namespace rule
}  // namespace onepass
