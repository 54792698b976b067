// orthogonal.hpp - the matrix that Orthogonal stands for, on the host.
#pragma once

#include <cstdint>
#include <vector>

namespace onepass::initializers {

/// A row-major matrix with no more columns than rows, or its transpose.
struct MatrixShape {
  std::int64_t rows;
  std::int64_t cols;
};

/// gain * Q * sign(diag R) of the QR decomposition of `normals` (of its transpose where rows < cols, and then
/// transposed back), row-major; see onepass/initializers/orthogonal.hpp. Throws std::bad_alloc.
std::vector<float> orthogonalize(const MatrixShape& shape, double gain, const std::vector<float>& normals);

}  // namespace onepass::initializers
