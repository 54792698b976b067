// exact_sum_test.cpp - compares the exact sum with arithmetic on single bits.
#include "step/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

using step::ExactSum;
using step::LimbParts;

/// A binary number with one bool per bit, kept simple so that it is obviously right. Bit i weighs 2^(i -
/// 400).
class Bits {
 public:
  /// Returns `x` exactly, or without its bits below 2^-298 if `cut` is true.
  static Bits of(double x, bool cut) {
    Bits bits;
    int exponent = 0;
    double mantissa = std::frexp(x, &exponent);  // in [0.5, 1)
    for (int i = 0; i < 53; ++i) {
      mantissa *= 2.0;
      const int place = exponent - 1 - i + kZero;
      if (mantissa < 1.0) continue;
      mantissa -= 1.0;
      if (place >= (cut ? ExactSum::kLowest + kZero : 0)) bits.bit_[static_cast<std::size_t>(place)] = true;
    }
    return bits;
  }
  void add(const Bits& other) {
    bool carry = false;
    for (std::size_t i = 0; i < bit_.size(); ++i) {
      const int sum = static_cast<int>(bit_[i]) + static_cast<int>(other.bit_[i]) + static_cast<int>(carry);
      bit_[i] = sum % 2 == 1;
      carry = sum > 1;
    }
  }
  bool operator==(const Bits&) const = default;

  /// Returns the number that the limbs represent.
  static Bits of(const ExactSum& sum) {
    Bits bits;
    std::uint64_t carry = 0;
    for (int limb = 0; limb < ExactSum::kLimbs; ++limb) {
      const std::uint64_t whole = sum.limbs[limb] + carry;
      for (int i = 0; i < 32; ++i) {
        const int place = 32 * limb + i + ExactSum::kLowest + kZero;
        bits.bit_[static_cast<std::size_t>(place)] = ((whole >> i) & 1) != 0;
      }
      carry = whole >> 32;
    }
    EXPECT_EQ(carry, 0u);
    return bits;
  }

  /// Returns the 64 highest bits as a number.
  [[nodiscard]] long double approximately() const {
    long double value = 0.0L;
    int taken = 0;
    for (std::size_t i = bit_.size(); i-- > 0 && taken < 64;) {
      if (bit_[i]) value += std::ldexp(1.0L, static_cast<int>(i) - kZero);
      if (value > 0) ++taken;
    }
    return value;
  }

 private:
  static constexpr int kZero = 400;
  std::vector<bool> bit_ = std::vector<bool>(800);
};

void add(ExactSum& sum, double x) {
  const LimbParts parts = step::split(x);
  for (int i = 0; i < 3; ++i) sum.limbs[parts.first + i] += parts.part[i];
}

void expect_exact(const std::vector<double>& numbers) {
  ExactSum sum{};
  Bits wanted;
  for (const double x : numbers) {
    ASSERT_LT(x, ExactSum::kLimit);
    add(sum, x);
    wanted.add(Bits::of(x, true));
  }
  ASSERT_TRUE(wanted == Bits::of(sum));
  const long double exact = wanted.approximately();
  EXPECT_LE(std::fabs(static_cast<long double>(step::rounded(sum)) - exact), 0x1p-51L * exact)
      << step::rounded(sum);
}

TEST(ExactSum, HoldsEveryDoubleExactly) {
  expect_exact({0.0});
  expect_exact({0x1p-298});
  expect_exact({0x1.fffffffffffffp269});  // the last below kLimit
  for (int exponent = -298; exponent < 270; ++exponent) {
    expect_exact({std::ldexp(1.0, exponent)});
    if (exponent < 269) expect_exact({std::ldexp(0x1.fffffffffffffp0, exponent)});
    expect_exact({std::ldexp(1.0 + uniform(static_cast<std::uint64_t>(exponent + 1000)), exponent)});
  }
}

TEST(ExactSum, CutsOffBitsBelowTheSquareOfTheSmallestDenormal) {
  expect_exact({0x1.8p-298});
  expect_exact({0x1.fffffffffffffp-299});
  expect_exact({0x1p-350, 0x1p-299});
  ExactSum sum{};
  add(sum, 0x1p-299);
  add(sum, std::numeric_limits<double>::denorm_min());
  add(sum, std::numeric_limits<double>::min());
  EXPECT_EQ(step::rounded(sum), 0.0);
  add(sum, 0x1.8p-298);
  EXPECT_EQ(step::rounded(sum), 0x1p-298);
}

TEST(ExactSum, SumsOfAllMagnitudesAreExact) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::vector<double> numbers;
    for (std::uint64_t i = 0; i < 100; ++i) {
      const std::uint64_t key = mix(1000 * seed + i);
      numbers.push_back(std::ldexp(1.0 + uniform(key), static_cast<int>(key % 568) - 298));
    }
    expect_exact(numbers);
  }
}

TEST(ExactSum, OrderDoesNotChangeABit) {
  std::vector<double> numbers;
  for (std::uint64_t i = 0; i < 3000; ++i)
    numbers.push_back(std::ldexp(1.0 + uniform(i), static_cast<int>(mix(i) % 100)));
  const auto sum_of = [&] {
    ExactSum sum{};
    for (const double x : numbers) add(sum, x);
    return std::bit_cast<std::uint64_t>(step::rounded(sum));
  };
  const std::uint64_t wanted = sum_of();
  double plain_difference = 0.0;
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
    EXPECT_EQ(wanted, sum_of());
    double plain = 0.0;
    for (const double x : numbers) plain += x;
    plain_difference += std::fabs(plain - std::bit_cast<double>(wanted));
  }
  EXPECT_GT(plain_difference, 0.0) << "the order did not matter anyway";
}

// The limbs keep carries in their upper 32 bits until the end.
TEST(ExactSum, AMillionAdditionsCarry) {
  for (const double x : {0x1.fffffffffffffp0, 0x1.fffffffffffffp-240, 0x1.fffffffffffffp249, 0x1p-298}) {
    ExactSum sum{};
    for (int i = 0; i < 1 << 20; ++i) add(sum, x);
    EXPECT_EQ(step::rounded(sum), std::ldexp(x, 20));
  }
}

// Writes the result of 2^31 additions of the largest parts into the limbs at once; it must not overflow.
TEST(ExactSum, TwoToTheThirtyOneAdditionsFit) {
  for (int exponent = -246; exponent < -246 + 32; ++exponent) {
    const double x = std::ldexp(0x1.fffffffffffffp0, exponent);
    const LimbParts parts = step::split(x);
    ExactSum sum{};
    for (int i = 0; i < 3; ++i) {
      ASSERT_LE(parts.part[i], ~std::uint64_t{0} >> 31);
      sum.limbs[parts.first + i] = parts.part[i] << 31;
    }
    EXPECT_EQ(step::rounded(sum), std::ldexp(x, 31));
  }
}

TEST(ExactSum, RoundsOnlyAtTheEnd) {
  ExactSum sum{};
  add(sum, 1.0);
  for (int i = 0; i < 1024; ++i) add(sum, 0x1p-60);
  EXPECT_EQ(step::rounded(sum), 1.0 + 0x1p-50);
}

}  // namespace
}  // namespace onepass::test
