// exact_leaf.hpp - adds the elements of a leaf as integers, so that it does not matter where tensors are cut.
#pragma once

#include <cstdint>

#include "step/reduction.hpp"

namespace onepass::step {

/// The bits of a leaf's magnitudes that decide how the leaf is added.
struct LeafBits {
  std::uint32_t largest = 0;
  std::uint32_t smallest = ~std::uint32_t{0};  ///< Of those that are not 0, less 1.
  std::uint32_t any = 0;                       ///< Bits that are set in any of them.

  ONEPASS_LANE void include(float x) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x) & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
    smallest = bits - 1 < smallest ? bits - 1 : smallest;
    any |= bits;
  }
  [[nodiscard]] ONEPASS_LANE bool is_zero() const { return largest == 0; }
  [[nodiscard]] ONEPASS_LANE bool is_finite() const { return largest < 0x7f800000u; }
  /// Infinity, or NaN if there is one: as bits it is above infinity.
  [[nodiscard]] ONEPASS_LANE double special() const {
    return largest > 0x7f800000u ? __builtin_nan("") : __builtin_huge_val();
  }
};

/// The terms of a leaf, squares or magnitudes, are doubles without a rounding. They are cut into bins of 48
/// bits, from the highest bit that one may have down to the lowest. A slot adds the part of 8 terms that
/// belongs to a bin in a double that begins at the bin's anchor, 1.5 * 2^52 times its unit: the sum stays
/// between 2^52 and 2^53 units, where doubles are whole units apart. So the sum is exact, its bits less those
/// of the anchor count the units, and what the addition has rounded off is exact too: it goes to the next
/// bin. In the last one nothing is rounded off. The counts of all slots are integers below 2^58.
inline constexpr int kBinBits = 48;

/// The most bins of a leaf: squares have 554 bits.
inline constexpr int kMostBins = 12;

/// The bins of a leaf. The unit of bin b is 2^(lowest + 48 * b).
struct Bins {
  int lowest;
  int count;

  /// Returns the number from which a slot begins to add in bin `b`.
  [[nodiscard]] ONEPASS_LANE double anchor(int b) const {
    const auto exponent = static_cast<std::uint64_t>(1023 + 52 + lowest + kBinBits * b);
    return __builtin_bit_cast(double, exponent << 52 | std::uint64_t{1} << 51);
  }
};

/// Returns how many units a slot has added since it began at the anchor.
ONEPASS_LANE std::int64_t units(double slot, double anchor) {
  return __builtin_bit_cast(std::int64_t, slot) - __builtin_bit_cast(std::int64_t, anchor);
}

/// Exponent of the last bit of a float32.
ONEPASS_LANE int last_bit(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 23);
  return (exponent != 0 ? exponent : 1) - 150;
}

/// Returns the bins of a leaf that is finite and has an element other than 0.
template <Measure kMeasure>
ONEPASS_LANE Bins bins_of(const LeafBits& leaf) {
  const std::uint32_t fraction = (leaf.any & 0x7fffffu) | 0x800000u;
#ifdef __CUDA_ARCH__
  const int zeros = __ffs(static_cast<int>(fraction)) - 1;
#else
  const int zeros = __builtin_ctz(fraction);
#endif
  constexpr int kPower = kMeasure == Measure::exact_squares ? 2 : 1;
  const int lowest = kPower * (last_bit(leaf.smallest + 1) + zeros);
  const int highest = kPower * (last_bit(leaf.largest) + 24);
  return {lowest, (highest - lowest + kBinBits - 1) / kBinBits};
}

/// Returns the term of an element. No term is rounded: a square of 24 bits has 48.
template <Measure kMeasure>
ONEPASS_LANE double exact_term(float element) {
  const double x = static_cast<double>(element);
  return kMeasure == Measure::exact_squares ? x * x : lane::abs(x);
}

/// Moves the part of a term that belongs to a slot's bin into the slot. Returns the rest, which may be
/// negative.
ONEPASS_LANE double fill(double& slot, double term) {
  const double filled = slot + term;
  const double part = filled - slot;
  slot = filled;
  return term - part;
}

/// Adds a number of units of 2^(position - 298).
template <class Words>
ONEPASS_LANE void add_units(ExactSum& into, std::uint64_t count, int position) {
  const LimbParts parts = limb_parts(count, position);
  for (int i = 0; i < 3; ++i) Words::add(into.limbs[parts.first + i], parts.part[i]);
}

/// Adds the units of a bin to the sum; bins come from the lowest up. What exceeds 48 bits, or is owed because
/// rests were negative, passes to the next bin as `carry`. The last bin keeps all: its total is not negative,
/// since that of the leaf is not.
template <class Words>
ONEPASS_LANE void add_bin(ExactSum& into, const Bins& bins, int b, std::int64_t count, std::int64_t& carry) {
  const std::int64_t whole = count + carry;
  const bool is_last = b + 1 == bins.count;
  carry = is_last ? 0 : whole >> kBinBits;
  const std::int64_t kept = whole - carry * (std::int64_t{1} << kBinBits);
  add_units<Words>(into, static_cast<std::uint64_t>(kept), bins.lowest + kBinBits * b - ExactSum::kLowest);
}

}  // namespace onepass::step
