// orthogonal.hpp - initializer that draws a matrix with orthogonal rows or columns.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.orthogonal_: a (rows, cols) matrix whose columns (if rows >= cols) or rows (if rows < cols)
/// are orthonormal vectors times `gain`, uniformly distributed over all such matrices. All dimensions but the
/// first are flattened into cols. The result is gain * Q * sign(diag R), where Q R is the QR decomposition of
/// the matrix that Normal{} draws for the same key (of its transpose if rows < cols).
///
/// The host computes it in double, by Householder reflections in a fixed order, and rounds once, so it has
/// the same bits for any number of threads and any instruction set. On CUDA the result is copied to the
/// device, which waits for the CUDA stream. It takes 16 bytes of host memory per element, and 4 rows cols^2
/// multiply-adds (for rows >= cols).
///
/// Source: Saxe et al. 2013, arXiv 1312.6120. Throws InvalidArgument if the shape has fewer than 2 dimensions
/// or `gain` is not finite in float32.
struct Orthogonal {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
