// axes.hpp - what the CPU makes of the sums over rows and columns: their states move, and give numbers for
// the update.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/backend/rule_ops.hpp"
#include "step/axes.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// Calls work(coefficients, axes, line or matrix) for those of all parts whose tensors take part in the step.
template <class Rule, class Work>
void over_parts(const step::Table& table, const step::AxisPart* parts, std::int64_t first, std::int64_t last,
                const Work& work) {
  for (std::int64_t i = first; i < last; ++i) {
    const step::AxisPart& part = parts[i];
    const auto& k = step::coefficients<Rule>(table)[part.tensor];
    if (!k.step.active) continue;
    for (std::int64_t one = part.first; one < part.first + part.count; ++one) {
      work(k, table.axes[part.tensor], one);
    }
  }
}

/// Moves the states of the lines of the parts [first, last) of Table::axis_lines.
template <class Rule, class Variant, int kPass>
void move_lines(const step::Table& table, std::int64_t first, std::int64_t last) {
  over_parts<Rule>(table, table.axis_lines, first, last,
                   [](const auto& k, const auto& axes, std::int64_t line) {
                     step::move_line<Variant, kPass>(k, axes, line);
                   });
}

/// Adds the states of lines. Lanes that have none would add zeros.
inline double sum_of(const step::Lines& lines) {
  const auto lanes = static_cast<int>(std::min<std::int64_t>(lines.count, step::kMeanLanes));
  double sums[step::kMeanLanes];
  for (int lane = 0; lane < lanes; ++lane) sums[lane] = step::lane_sum(lines, lane);
  for (int half = step::kMeanLanes / 2; half > 0; half /= 2) {
    for (int lane = half; lane < std::min(lanes, 2 * half); ++lane) sums[lane - half] += sums[lane];
  }
  return sums[0];
}

/// Makes the numbers of one matrix along one axis, if the pass has a state there.
template <class Variant, int kPass, rule::Axis kAlong, class Rule>
void make_numbers(const rule::TensorCoefficients<Rule>& k, const step::AxisEntry& axes, std::int64_t matrix) {
  constexpr int kAxis = rule::kAxisOf<Variant, kPass, kAlong>;
  if constexpr (kAxis >= 0) {
    const step::Lines lines = step::lines_of(axes, kAxis, kAlong, matrix);
    step::make_numbers<Variant>(k, kAxis, lines, sum_of(lines) / static_cast<double>(lines.count), 0, 1);
  }
}

/// Makes the numbers of the matrices of the parts [first, last) of Table::axis_matrices.
template <class Rule, class Variant, int kPass>
void make_numbers(const step::Table& table, std::int64_t first, std::int64_t last) {
  over_parts<Rule>(table, table.axis_matrices, first, last,
                   [](const auto& k, const auto& axes, std::int64_t matrix) {
                     make_numbers<Variant, kPass, rule::Axis::rows>(k, axes, matrix);
                     make_numbers<Variant, kPass, rule::Axis::columns>(k, axes, matrix);
                   });
}

/// The functions of a pass; none if the variant has no such pass.
template <class Rule, class Variant, int kPass>
AxisOps axis_ops() {
  if constexpr (kPass < kAxisPasses<Variant>) {
    return {&move_lines<Rule, Variant, kPass>, &make_numbers<Rule, Variant, kPass>};
  } else {
    return {};
  }
}

}  // namespace onepass::cpu
