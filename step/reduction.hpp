// reduction.hpp - what is summed over all tensors: the order of it, and where it is kept.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "step/exact_sum.hpp"

namespace onepass::step {

/// The measures of a gradient, and of the parameters.
enum class Measure : std::uint32_t {
  sum_of_magnitudes,  ///< L1 norm.
  sum_of_squares,     ///< L2 norm, before the root.
  largest,            ///< Infinity norm.
  penalty,            ///< 0.5 * l2 * p^2 + l1 * |p| of each parameter.
};

/// A leaf is reduced in double, in a tree that depends on nothing but the element's index within it: element
/// i goes into slot i mod kSlots, in order; four neighbouring slots fold as (0 + 1) + (2 + 3); the 32 sums
/// that remain fold in halves. Leaves start at multiples of kLeaf from their tensor's first element, and are
/// added exactly, so that the whole depends on no order at all.
inline constexpr int kLeaf = 1024;
inline constexpr int kSlots = 128;

/// Elements of one piece of a reduction, whatever the chunks of the update are.
inline constexpr std::int64_t kReduceChunk = 4 * kLeaf;

/// Where a leaf begins in its piece.
struct LeafPlace {
  std::int64_t piece;
  std::int64_t begin;
};
inline constexpr std::int64_t kLeavesOfPiece = kReduceChunk / kLeaf;

/// The leaf that comes `turn`-th. Warps that stride over the turns work on neighbouring leaves and go from
/// the last piece to the first together: so what the update begins with was read last and is still in the
/// cache.
ONEPASS_LANE LeafPlace leaf_at(std::int64_t turn, std::int64_t pieces) {
  const std::int64_t leaf = pieces * kLeavesOfPiece - 1 - turn;
  return {leaf / kLeavesOfPiece, leaf % kLeavesOfPiece * kLeaf};
}

/// A piece and an element in it, as one number that grows with both; the least is the first element that is
/// not finite.
inline constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

/// The L2 and L1 penalty of a group's parameters, for reporting the loss.
struct Penalty {
  double half_l2;  ///< Half the coupled weight decay.
  double l1;
};

/// The result, in the memory of the device. Starts as Reduction::none().
struct Reduction {
  ExactSum sum;
  std::uint64_t largest;          ///< Bits of a double, not negative: they order as numbers do.
  std::uint64_t infinite, nan;    ///< 1 where an infinity or a NaN was met.
  std::uint64_t first_nonfinite;  ///< piece * kReduceChunk + element, or kNowhere.

  static ONEPASS_LANE Reduction none() {
    Reduction reduction{};
    reduction.first_nonfinite = kNowhere;
    return reduction;
  }
};

/// Adds what another thread has found.
ONEPASS_LANE void add(Reduction& whole, const Reduction& part) {
  for (int i = 0; i < ExactSum::kLimbs; ++i) whole.sum.limbs[i] += part.sum.limbs[i];
  if (part.largest > whole.largest) whole.largest = part.largest;
  if (part.first_nonfinite < whole.first_nonfinite) whole.first_nonfinite = part.first_nonfinite;
  whole.infinite |= part.infinite;
  whole.nan |= part.nan;
}

/// What a step or the host wants to know of it: a sum or the largest magnitude; NaN or infinite where an
/// element was.
ONEPASS_LANE double value_of(const Reduction& reduction, Measure measure) {
  if (reduction.nan != 0) return __builtin_nan("");
  if (reduction.infinite != 0) return __builtin_huge_val();
  if (measure == Measure::largest) return __builtin_bit_cast(double, reduction.largest);
  return rounded(reduction.sum);
}

/// How one element joins its slot, for each measure.
template <Measure kMeasure>
struct Term {
  Penalty penalty;  ///< Of the tensor's group.

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
