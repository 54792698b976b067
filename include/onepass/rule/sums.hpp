// sums.hpp - sums over a tensor or over the model, which a rule may take before it updates a tensor.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/around.hpp"

namespace onepass {

/// A rule may need numbers that follow from all elements of a tensor, such as the norm of its update. It
/// declares how many sums it takes:
///
///     static constexpr int kSums = 2;
///
/// Each of its variants then has a function that sees an element as update() does, and gives one term for
/// each sum, and says which streams that function reads:
///
///     static constexpr unsigned kMeasured = rule::kParam | rule::kGrad | rule::kState<0>;
///     static void measure(const Coefficients& k, float p, float g, float exp_avg, float (&terms)[kSums]);
///
/// The step adds up the squares of the terms, and hands the sums to the rule, which completes the
/// coefficients that prepare() has made for the tensor's `step`:
///
///     void finish(std::int64_t step, const rule::Sums<kSums>& sums, Coefficients& k) const;
///
/// A rule with kScalars has finish(step, sums, scalars, k). A square of a float32 is exact, and so is their
/// sum: its bits do not depend on the order, the number of threads, or where a tensor is cut. Every step of
/// such a rule passes over the tensor twice, once for the sums and once for the update. A rule whose sums are
/// of the terms' magnitudes, which are exact too, says
///
///     static constexpr bool kSumsMagnitudes = true;
///
/// A rule with a hyperparameter `caution` needs none of this but kMeasured: each of its variants has
///
///     static float heading(const Coefficients& k, float p, float g, float exp_avg, ...);
///
/// a number of the update's sign. Caution::rescaled counts the elements whose heading has the gradient's.
template <class Rule>
inline constexpr bool kHasCaution = requires(Rule rule) {
  rule.caution;
};

/// Number of sums that a rule takes, or may take.
template <class Rule>
inline constexpr int kSumCount = kHasCaution<Rule> ? 1 : 0;
template <class Rule>
requires requires { Rule::kSums; }
inline constexpr int kSumCount<Rule> = Rule::kSums;

/// Whether the sums of a rule are of magnitudes, and not of squares.
template <class Rule>
inline constexpr bool kSumsMagnitudes = requires {
  requires Rule::kSumsMagnitudes;
};

/// The sums of a rule may run over all its tensors in an optimizer, which then have one set of scalars:
///
///     static constexpr bool kSumsOverModel = true;
///
/// prepare() and finish() of each tensor get the same sums and the same scalars, and must make the same of
/// them. Each tensor keeps a copy of the scalars, so that they are saved with it. One of them must be `k`,
/// the number of steps that finish() has counted: a tensor that joins late, or had no gradient for some
/// steps, takes over the scalars of one that has counted the most. prepare() may give the scalars their first
/// values, but finish() alone keeps what it changes. Such a rule cannot step a part of the model alone
/// (Optimizer::step_some()).
template <class Rule>
inline constexpr bool kSumsOverModel = requires {
  requires Rule::kSumsOverModel;
};

namespace rule {

/// Returns whether the steps of a rule take its sums. One optimizer's rule must stay with its answer.
template <class Rule>
ONEPASS_LANE bool takes_sums([[maybe_unused]] const Rule& rule) {
  if constexpr (kHasCaution<Rule>) {
    static_assert(
        !requires { Rule::kSums; }, "a rule with caution has no other sums");
    return Around::caution_of(rule) == Caution::rescaled;
  } else {
    return kSumCount<Rule> != 0;
  }
}

/// The streams that measure() reads, as bits of kMeasured.
inline constexpr unsigned kParam = 1u;
inline constexpr unsigned kGrad = 2u;
template <int kIndex>
inline constexpr unsigned kState = 4u << kIndex;

/// The sums over one tensor, or over the model.
template <int kCount>
struct Sums {
  double
      total[kCount];   ///< Of each term's squares, or magnitudes. NaN if a term is, else infinite if one is.
  std::int64_t numel;  ///< Number of elements of the tensor; 0 for sums over the model.

  /// Returns the Euclidean norm of a term over the tensor.
  [[nodiscard]] ONEPASS_LANE double norm(int term) const { return lane::sqrt(total[term]); }
  /// Returns the root of the mean of the squares of a term.
  [[nodiscard]] ONEPASS_LANE double root_mean_square(int term) const {
    return lane::sqrt(total[term] / static_cast<double>(numel));
  }
};

/// Bits of a variant's streams that measure() reads; 0 if it has none.
template <class Variant>
inline constexpr unsigned kMeasuredStreams = 0;
template <class Variant>
requires requires { Variant::kMeasured; }
inline constexpr unsigned kMeasuredStreams<Variant> = Variant::kMeasured;

}  // namespace rule
}  // namespace onepass
