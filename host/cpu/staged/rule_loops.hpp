// rule_loops.hpp - the loops of a rule over float32, which staged updates call: all that is compiled for a
// variant and an instruction set if it has no fused loops. It includes as little as possible, because every
// new rule pays for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/backend/cpu_rule.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Moves whole blocks. The coefficients are a local copy, so that no store can change them. The streams do
/// not overlap; ivdep tells the compiler.
template <class Variant, bool kLossy, rule::Extras kExtras, class Rule, class... State>
ONEPASS_LANE void move_whole_blocks(const rule::TensorCoefficients<Rule> k, float* __restrict param,
                                    const float* __restrict grad, std::int64_t count,
                                    State* __restrict... states) {
  // Tells the compiler that the count is a multiple of a block: it then makes no loop for the last elements.
  const std::int64_t whole = count & -std::int64_t{storage::kBlock};
#pragma GCC ivdep
  for (std::int64_t i = 0; i < whole; ++i) {
    float p = param[i];
    rule::move<Variant, kLossy, kExtras>(k, p, grad[i], states[i]...);
    param[i] = p;
  }
}

/// A RuleLoop. kLossy and kExtras: as for rule::move().
template <class Rule, class Variant, bool kLossy, rule::Extras kExtras, std::size_t... kState>
void move_blocks(const void* coefficients, float* param, const float* grad,
                 [[maybe_unused]] float* const* states, std::int64_t count) {
  // A staged update reads the first two members without knowing the rule.
  static_assert(offsetof(rule::TensorCoefficients<Rule>, step) == 0 &&
                offsetof(rule::TensorCoefficients<Rule>, around) == sizeof(rule::TensorStep));
  move_whole_blocks<Variant, kLossy, kExtras>(
      *static_cast<const rule::TensorCoefficients<Rule>*>(coefficients), param, grad, count,
      states[kState]...);
}

/// Computes the terms of whole blocks, as move_whole_blocks() moves them.
template <class Variant, bool kLossy, class Rule, class... State>
ONEPASS_LANE void measure_whole_blocks(const rule::TensorCoefficients<Rule> k, const float* __restrict param,
                                       const float* __restrict grad, std::int64_t count,
                                       float* __restrict terms, std::int64_t apart,
                                       const State* __restrict... states) {
  constexpr int kTerms = kSumCount<Rule>;
  const std::int64_t whole = count & -std::int64_t{storage::kBlock};
#pragma GCC ivdep
  for (std::int64_t i = 0; i < whole; ++i) {
    float of_element[kTerms];
    rule::measure<Variant, kLossy>(k, param[i], grad[i], of_element, states[i]...);
    for (int term = 0; term < kTerms; ++term) terms[term * apart + i] = of_element[term];
  }
}

/// A TermLoop. kLossy: as for rule::measure().
template <class Rule, class Variant, bool kLossy, std::size_t... kState>
void measure_blocks(const void* coefficients, const float* param, const float* grad,
                    [[maybe_unused]] float* const* states, std::int64_t count, float* terms,
                    std::int64_t apart) {
  measure_whole_blocks<Variant, kLossy>(*static_cast<const rule::TensorCoefficients<Rule>*>(coefficients),
                                        param, grad, count, terms, apart,
                                        static_cast<const float*>(states[kState])...);
}

/// Returns the TermLoop of a variant, or null if it has none.
template <class Rule, class Variant, bool kLossy, std::size_t... kState>
constexpr TermLoop term_loop() {
  if constexpr (rule::kMeasuredStreams<Variant> == 0) {
    return nullptr;
  } else {
    return &measure_blocks<Rule, Variant, kLossy, kState...>;
  }
}

/// Computes the numbers that are averaged over rows and columns, as measure_whole_blocks() does terms.
template <class Variant, int kPass, class Rule, class... State>
ONEPASS_LANE void measure_axes_of_blocks(const rule::TensorCoefficients<Rule> k,
                                         const float* __restrict param, const float* __restrict grad,
                                         std::int64_t count, float* __restrict terms,
                                         const State* __restrict... states) {
  const std::int64_t whole = count & -std::int64_t{storage::kBlock};
#pragma GCC ivdep
  for (std::int64_t i = 0; i < whole; ++i) {
    terms[i] = rule::axis_term<Variant, kPass>(k, param[i], grad[i], states[i]...);
  }
}

/// A TermLoop of one term.
template <class Rule, class Variant, int kPass, std::size_t... kState>
void measure_axes(const void* coefficients, const float* param, const float* grad, float* const* states,
                  std::int64_t count, float* terms, std::int64_t /*apart*/) {
  measure_axes_of_blocks<Variant, kPass>(*static_cast<const rule::TensorCoefficients<Rule>*>(coefficients),
                                         param, grad, count, terms,
                                         static_cast<const float*>(states[kState])...);
}

template <class Rule, class Variant, int kPass, std::size_t... kState>
constexpr AxisLoop axis_loop() {
  if constexpr (kPass < kAxisPasses<Variant>) {
    return {&measure_axes<Rule, Variant, kPass, kState...>, rule::kAxisRead<Variant, kPass>,
            (rule::kAxisOf<Variant, kPass, rule::Axis::columns>) >= 0};
  } else {
    return {};
  }
}

/// StagedLoops::columns.
template <class Variant>
constexpr unsigned columns_of() {
  unsigned columns = 0;
  if constexpr (kAxisCount<Variant> != 0) {
    for (std::size_t i = 0; i < Variant::kAxes.size(); ++i) {
      if (Variant::kAxes[i].axis == rule::Axis::columns) columns |= 1u << i;
    }
  }
  return columns;
}

template <class Rule, class Variant, std::size_t... kState>
constexpr StagedLoops staged_loops(std::index_sequence<kState...> /*states*/) {
  using rule::Extras;
  constexpr bool kLossy = Compressible<Variant>;
  return {
      .exact = {&move_blocks<Rule, Variant, false, Extras::none, kState...>,
                &move_blocks<Rule, Variant, false, Extras::scale, kState...>,
                &move_blocks<Rule, Variant, false, Extras::all, kState...>, nullptr},
      .lossy = {&move_blocks<Rule, Variant, kLossy, Extras::scale, kState...>,
                &move_blocks<Rule, Variant, kLossy, Extras::scale, kState...>,
                &move_blocks<Rule, Variant, kLossy, Extras::all, kState...>,
                &move_blocks<Rule, Variant, kLossy, Extras::settle, kState...>},
      .exact_terms = term_loop<Rule, Variant, false, kState...>(),
      .lossy_terms = term_loop<Rule, Variant, kLossy, kState...>(),
      .measured = rule::kMeasuredStreams<Variant>,
      .sums = rule::kMeasuredStreams<Variant> != 0 ? kSumCount<Rule> : 0,
      .magnitudes = kSumsMagnitudes<Rule>,
      .over_model = kSumsOverModel<Rule>,
      .states = kStateCount<Variant>,
      .nonnegative = kNonnegativeStates<Variant>,
      .float32 = kFloat32States<Variant>,
      .lines = kAxisCount<Variant>,
      .columns = columns_of<Variant>(),
      .axis_passes = {axis_loop<Rule, Variant, 0, kState...>(), axis_loop<Rule, Variant, 1, kState...>()}};
}

/// The loops of one variant.
template <class Rule, class Variant>
constexpr StagedLoops staged_loops() {
  return staged_loops<Rule, Variant>(std::make_index_sequence<kStateCount<Variant> + kAxisCount<Variant>>{});
}

/// The loops of all variants of a rule that has no fused loops.
template <class Rule, class Variants = rule::Compiled<Rule>>
struct OnlyStaged;

template <class Rule, class... Variant>
struct OnlyStaged<Rule, VariantList<Variant...>> {
  static constexpr VariantLoops kAll[] = {{nullptr, staged_loops<Rule, Variant>()}...};
};

}  // namespace
}  // namespace onepass::cpu
