// orthogonal_test.cpp - Orthogonal gives orthonormal vectors, and exactly the matrix of PyTorch's formula.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "onepass/initializers/initialize.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

using Long = long double;

constexpr RandomKey kKey{.seed = 11, .tensor = 3};

/// A row-major matrix. Its vectors, which must be orthonormal, are its columns, or its rows if it is wide.
struct Matrix {
  std::int64_t rows, cols;
  std::vector<float> values;

  [[nodiscard]] std::int64_t vectors() const { return std::min(rows, cols); }
  [[nodiscard]] std::int64_t length() const { return std::max(rows, cols); }
  [[nodiscard]] float at(std::int64_t vector, std::int64_t i) const {
    const std::int64_t index = rows >= cols ? i * cols + vector : vector * cols + i;
    return values[static_cast<std::size_t>(index)];
  }
};

Matrix drawn(std::int64_t rows, std::int64_t cols, const Initializer& initializer) {
  Matrix matrix{rows, cols, std::vector<float>(static_cast<std::size_t>(rows * cols))};
  initialize(matrix.values, {rows, cols}, initializer, kKey);
  return matrix;
}

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{{1, 1},   {1, 7},   {7, 1},   {2, 2},
                                                                 {5, 3},   {3, 5},   {16, 16}, {17, 17},
                                                                 {33, 15}, {40, 31}, {31, 40}, {130, 65}};

// Rounding moves an element by at most 2^-24 of itself. So the product of two columns a, b of length 1 is off
// by at most 2 * 2^-24 * sum |a_i b_i| <= 2^-23 (Cauchy-Schwarz). The decomposition in double adds less than
// 1e-13 here.
TEST(Orthogonal, VectorsAreOrthonormalTimesTheGain) {
  for (const auto& [rows, cols] : kShapes) {
    for (const double gain : {1.0, 1.5, -2.0}) {
      const Matrix q = drawn(rows, cols, initializers::Orthogonal{gain});
      for (std::int64_t a = 0; a < q.vectors(); ++a) {
        for (std::int64_t b = 0; b <= a; ++b) {
          double product = 0.0;
          for (std::int64_t i = 0; i < q.length(); ++i)
            product += static_cast<double>(q.at(a, i)) * q.at(b, i);
          ASSERT_NEAR(product, a == b ? gain * gain : 0.0, gain * gain * (0x1p-23 + 1e-13))
              << rows << " x " << cols << ", vectors " << a << " and " << b;
        }
      }
    }
  }
}

/// Gram-Schmidt in long double, run twice. Returns the only Q whose R has a positive diagonal.
std::vector<std::vector<Long>> gram_schmidt(const Matrix& normals) {
  std::vector<std::vector<Long>> q;
  for (std::int64_t a = 0; a < normals.vectors(); ++a) {
    std::vector<Long> v;
    for (std::int64_t i = 0; i < normals.length(); ++i) v.push_back(normals.at(a, i));
    for (int pass = 0; pass < 2; ++pass) {
      for (const std::vector<Long>& other : q) {
        Long product = 0;
        for (std::size_t i = 0; i < v.size(); ++i) product += v[i] * other[i];
        for (std::size_t i = 0; i < v.size(); ++i) v[i] -= product * other[i];
      }
    }
    Long square = 0;
    for (const Long x : v) square += x * x;
    for (Long& x : v) x /= std::sqrt(square);
    q.push_back(v);
  }
  return q;
}

// Rounding to float moves an element below 1 by at most 2^-25. Square Gaussian matrices of these sizes have
// condition numbers below 1e4, so the decomposition in double is right to 1e-11.
TEST(Orthogonal, EqualsTheQOfTheSameNormalsWithAPositiveDiagonalOfR) {
  for (const auto& [rows, cols] : kShapes) {
    const Matrix actual = drawn(rows, cols, initializers::Orthogonal{});
    const auto wanted = gram_schmidt(drawn(rows, cols, initializers::Normal{}));
    for (std::int64_t a = 0; a < actual.vectors(); ++a) {
      for (std::int64_t i = 0; i < actual.length(); ++i) {
        const double entry =
            static_cast<double>(wanted[static_cast<std::size_t>(a)][static_cast<std::size_t>(i)]);
        ASSERT_NEAR(actual.at(a, i), entry, 0x1p-25 + 1e-11)
            << rows << " x " << cols << ": " << a << ", " << i;
      }
    }
  }
}

TEST(Orthogonal, FlattensTheTrailingDimensions) {
  std::vector<float> flat(8 * 27), folded(8 * 27);
  initialize(flat, {8, 27}, initializers::Orthogonal{}, kKey);
  initialize(folded, {8, 3, 3, 3}, initializers::Orthogonal{}, kKey);
  EXPECT_TRUE(equal_bits(flat, folded));
}

TEST(Orthogonal, AcceptsMatricesWithoutElements) {
  EXPECT_NO_THROW(initialize(Tensor{}, {0, 5}, initializers::Orthogonal{}, kKey));
  EXPECT_NO_THROW(initialize(Tensor{}, {5, 0}, initializers::Orthogonal{}, kKey));
}

}  // namespace
}  // namespace onepass::test
