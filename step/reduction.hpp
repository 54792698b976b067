// reduction.hpp - sums over all tensors: what is summed, in which order, and where the result is kept.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "step/exact_sum.hpp"

namespace onepass::step {

/// The quantity that a reduction computes, from the gradients or from the parameters.
enum class Measure : std::uint32_t {
  sum_of_magnitudes,  ///< L1 norm.
  sum_of_squares,     ///< L2 norm, before the root.
  largest,            ///< Infinity norm.
  exact_magnitudes,   ///< The same sums, but leaves are not rounded (exact_leaf.hpp).
  exact_squares,
  penalty,  ///< Sum of 0.5 * l2 * p^2 + l1 * |p| over the parameters.
};

/// A leaf is kLeaf consecutive elements, starting at a multiple of kLeaf from the tensor's first element. It
/// is reduced in double, in a tree that depends only on an element's index i within the leaf. First each of
/// the kSlots slots adds the elements with i mod kSlots equal to its number, in order. Then four neighbouring
/// slots fold as (0 + 1) + (2 + 3). The 32 sums that remain fold in halves. Leaves are added exactly
/// (exact_sum.hpp), so the total does not depend on their order.
inline constexpr int kLeaf = 1024;
inline constexpr int kSlots = 128;

/// Number of elements in a piece of a reduction. It does not depend on the chunk size of the update.
inline constexpr std::int64_t kReduceChunk = 4 * kLeaf;

/// The first element of a leaf: element `begin` of piece `piece`.
struct LeafPlace {
  std::int64_t piece;
  std::int64_t begin;
};
inline constexpr std::int64_t kLeavesOfPiece = kReduceChunk / kLeaf;

/// Returns the leaf that is reduced `turn`-th. The order runs from the last piece to the first, and warps
/// that stride over the turns work on neighbouring leaves. The elements that the update begins with are thus
/// read last and are still in the cache.
ONEPASS_LANE LeafPlace leaf_at(std::int64_t turn, std::int64_t pieces) {
  const std::int64_t leaf = pieces * kLeavesOfPiece - 1 - turn;
  return {leaf / kLeavesOfPiece, leaf % kLeavesOfPiece * kLeaf};
}

/// Stands for "no element" where an element is given as piece * kReduceChunk + its index in the piece. Such
/// numbers order elements, so the first element that is not finite is a minimum.
inline constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

/// Coefficients of the L2 and L1 penalty on a group's parameters, for reporting the loss.
struct Penalty {
  double half_l2;  ///< Half the coupled weight decay.
  double l1;
};

/// The result of a reduction, in the memory of the device. Starts as Reduction::none().
struct Reduction {
  ExactSum sum;
  std::uint64_t largest;          ///< Bits of a nonnegative double: as integers they order as the doubles do.
  std::uint64_t infinite, nan;    ///< 1 if a leaf was infinite, or NaN.
  std::uint64_t first_nonfinite;  ///< piece * kReduceChunk + element, or kNowhere.

  static ONEPASS_LANE Reduction none() {
    Reduction reduction{};
    reduction.first_nonfinite = kNowhere;
    return reduction;
  }
};

/// Returns whether a leaf adds to the sum or the largest magnitude. If not, it is NaN or counts as infinite.
ONEPASS_LANE bool is_finite_leaf(double leaf) { return leaf < ExactSum::kLimit; }

/// Adds the result of a leaf. The CPU loop and the CUDA kernel both call this, so that they sort NaN,
/// infinity and finite leaves alike. `Words` has the operations on words of the reduction: set() to 1,
/// raise() to at least a number, and add(). They are atomic on CUDA.
template <Measure kMeasure, class Words>
ONEPASS_LANE void add_leaf(Reduction& into, double leaf) {
  if (leaf != leaf) {
    Words::set(into.nan);
  } else if (!is_finite_leaf(leaf)) {
    Words::set(into.infinite);
  } else if constexpr (kMeasure == Measure::largest) {
    Words::raise(into.largest, __builtin_bit_cast(std::uint64_t, leaf));
  } else {
    const LimbParts parts = split(leaf);
    for (int i = 0; i < 3; ++i) Words::add(into.sum.limbs[parts.first + i], parts.part[i]);
  }
}

/// Adds a sum without a measure of its own to one that several threads add to. `Words` as for add_leaf(); its
/// operations are atomic.
template <class Words>
ONEPASS_LANE void merge(Reduction& into, const Reduction& part) {
  for (int i = 0; i < ExactSum::kLimbs; ++i) {
    if (part.sum.limbs[i] != 0) Words::add(into.sum.limbs[i], part.sum.limbs[i]);
  }
  if (part.infinite != 0) Words::set(into.infinite);
  if (part.nan != 0) Words::set(into.nan);
}

/// The same with the largest magnitude of a measure. It does not pass on where an element was not finite.
template <class Words>
ONEPASS_LANE void merge_measure(Reduction& into, const Reduction& part) {
  merge<Words>(into, part);
  if (part.largest != 0) Words::raise(into.largest, part.largest);
}

/// Adds another thread's result.
ONEPASS_LANE void add(Reduction& whole, const Reduction& part) {
  for (int i = 0; i < ExactSum::kLimbs; ++i) whole.sum.limbs[i] += part.sum.limbs[i];
  if (part.largest > whole.largest) whole.largest = part.largest;
  if (part.first_nonfinite < whole.first_nonfinite) whole.first_nonfinite = part.first_nonfinite;
  whole.infinite |= part.infinite;
  whole.nan |= part.nan;
}

/// Returns whether a measure rounds no leaf.
ONEPASS_LANE constexpr bool is_exact(Measure measure) {
  return measure == Measure::exact_squares || measure == Measure::exact_magnitudes;
}

/// Returns whether a measure is a sum of squares, whose root is the norm.
ONEPASS_LANE bool is_of_squares(Measure measure) {
  return measure == Measure::sum_of_squares || measure == Measure::exact_squares;
}

/// Returns the measured sum or largest magnitude: NaN if an element was NaN, else infinity if one was
/// infinite.
ONEPASS_LANE double value_of(const Reduction& reduction, Measure measure) {
  if (reduction.nan != 0) return __builtin_nan("");
  if (reduction.infinite != 0) return __builtin_huge_val();
  if (measure == Measure::largest) return __builtin_bit_cast(double, reduction.largest);
  return rounded(reduction.sum);
}

/// The arithmetic of a measure: how an element joins its slot, and how two slots fold into one.
template <Measure kMeasure>
struct Term {
  Penalty penalty;  ///< Penalty of the tensor's group; only Measure::penalty reads it.

  [[nodiscard]] ONEPASS_LANE double join(double slot, float element) const {
    const double x = static_cast<double>(element);
    if constexpr (kMeasure == Measure::sum_of_squares) {
      return lane::fma(x, x, slot);
    } else if constexpr (kMeasure == Measure::sum_of_magnitudes) {
      return slot + lane::abs(x);
    } else if constexpr (kMeasure == Measure::largest) {
      return lane::max(slot, lane::abs(x));
    } else {
      return lane::fma(penalty.half_l2 * x, x, lane::fma(penalty.l1, lane::abs(x), slot));
    }
  }

  static ONEPASS_LANE double fold(double a, double b) {
    if constexpr (kMeasure == Measure::largest) {
      return lane::max(a, b);
    } else {
      return a + b;
    }
  }
};

}  // namespace onepass::step
