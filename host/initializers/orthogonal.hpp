// orthogonal.hpp - computes the matrix of the initializer Orthogonal on the host.
#pragma once

#include <cstdint>
#include <vector>

namespace onepass::initializers {

/// Rows and columns of a row-major matrix.
struct MatrixShape {
  std::int64_t rows;
  std::int64_t cols;
};

/// Returns gain * Q * sign(diag R), row-major, where Q R is the QR decomposition of `normals`. If rows < cols
/// it decomposes the transpose and transposes the result back. See onepass/initializers/orthogonal.hpp.
/// Throws std::bad_alloc.
std::vector<float> orthogonalize(const MatrixShape& shape, double gain, const std::vector<float>& normals);

}  // namespace onepass::initializers
