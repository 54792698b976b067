// exact_sum.hpp - a sum of doubles that does not depend on their order.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

namespace onepass::step {

/// A nonnegative fixed-point number, wide enough for any sum of squares of float32 (Kulisch's accumulator).
/// Bit 0 weighs 2^-298, the square of the smallest denormal. Integer addition gives the same sum in every
/// order, so the number of threads, the grid, the packing and the chunk size cannot change a bit of it. Each
/// limb weighs 2^32 times the one before it and keeps 31 bits for carries, so 2^31 additions fit; that is
/// 2^41 elements, or 2^40 where leaves are added as integers: no limb has parts of more than two bins.
struct ExactSum {
  static constexpr int kLimbs = 20;
  static constexpr int kLowest = -298;
  static constexpr double kLimit = 0x1p270;  ///< Addends must be smaller; 1,024 squares of float32 are.

  std::uint64_t limbs[kLimbs];
};

/// The parts that one number adds to three neighbouring limbs.
struct LimbParts {
  int first;
  std::uint64_t part[3];
};

/// Splits `count`, whose lowest bit is bit `position` of the sum, into limbs. Each part is below 2^33.
ONEPASS_LANE LimbParts limb_parts(std::uint64_t count, int position) {
  const int shift = position % 32;
  const std::uint64_t low = (count & 0xffffffffu) << shift;
  const std::uint64_t high = (count >> 32) << shift;
  return {position / 32, {low & 0xffffffffu, (low >> 32) + (high & 0xffffffffu), high >> 32}};
}

/// Splits `x`, which lies in [0, kLimit), into limbs. Bits below 2^-298 are cut off; squares of float32 have
/// none there.
ONEPASS_LANE LimbParts split(double x) {
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  const int exponent = static_cast<int>(bits >> 52);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  int position = (exponent != 0 ? exponent : 1) - 1075 - ExactSum::kLowest;
  if (position < 0) {
    mantissa = position > -64 ? mantissa >> -position : 0;
    position = 0;
  }
  return limb_parts(mantissa, position);
}

/// Returns the same sum with the carries passed on: every limb but the last is below 2^32.
ONEPASS_LANE ExactSum carried(ExactSum sum) {
  for (int i = 0; i + 1 < ExactSum::kLimbs; ++i) {
    sum.limbs[i + 1] += sum.limbs[i] >> 32;
    sum.limbs[i] &= 0xffffffffu;
  }
  return sum;
}

/// Returns the sum as a double, with a relative error of at most 2^-51: it is rounded a few times, in a fixed
/// order. The four highest nonzero digits of 32 bits are enough for that.
ONEPASS_LANE double rounded(const ExactSum& sum) {
  const ExactSum whole = carried(sum);
  double high[4] = {};
  double digits[4] = {};
  double weight = 0x1p-298;
  double unit = weight;
  for (int i = 0; i < ExactSum::kLimbs; ++i, unit *= 0x1p32) {
    for (int d = 3; d > 0; --d) digits[d] = digits[d - 1];
    digits[0] = static_cast<double>(whole.limbs[i]);
    if (digits[0] == 0.0) continue;
    weight = unit;
    for (int d = 0; d < 4; ++d) high[d] = digits[d];
  }
  const double low = lane::fma(high[3], 0x1p-32, high[2]);
  const double middle = lane::fma(low, 0x1p-32, high[1]);
  return lane::fma(middle, 0x1p-32, high[0]) * weight;
}

}  // namespace onepass::step
