// sums.hpp - sums over a tensor, which a rule may take before it updates the tensor.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "onepass/arithmetic/lane.hpp"

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
/// such a rule passes over the tensor twice, once for the sums and once for the update.
template <class Rule>
inline constexpr int kSumCount = 0;
template <class Rule>
requires requires { Rule::kSums; }
inline constexpr int kSumCount<Rule> = Rule::kSums;

namespace rule {

/// The streams that measure() reads, as bits of kMeasured.
inline constexpr unsigned kParam = 1u;
inline constexpr unsigned kGrad = 2u;
template <int kIndex>
inline constexpr unsigned kState = 4u << kIndex;

/// The sums over one tensor.
template <int kCount>
struct Sums {
  double of_squares[kCount];  ///< Of each term. NaN if a term is, else infinite if one is.
  std::int64_t numel;         ///< Number of elements of the tensor.

  /// Returns the Euclidean norm of a term over the tensor.
  [[nodiscard]] ONEPASS_LANE double norm(int term) const { return lane::sqrt(of_squares[term]); }
  /// Returns the root of the mean of the squares of a term.
  [[nodiscard]] ONEPASS_LANE double root_mean_square(int term) const {
    return lane::sqrt(of_squares[term] / static_cast<double>(numel));
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
