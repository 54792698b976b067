// orthogonal.hpp - rows or columns at right angles.
#pragma once

#include <cstdint>
#include <span>

#include "onepass/initializers/distribution.hpp"

namespace onepass::initializers {

/// torch.nn.init.orthogonal_: a (rows, cols) matrix, all dimensions but the first flattened into cols, with
/// gain * orthonormal columns (rows >= cols) or rows (rows < cols), evenly distributed among those. It is
/// Q * sign(diag R) of the QR decomposition of what Normal{} draws for the same key (of its transpose where
/// rows < cols).
///
/// Computed on the host in double, by Householder reflections in a fixed order, and rounded once: the same
/// bits for any number of threads and any instruction set. On CUDA the result is copied to the device, which
/// waits for the stream. Takes 16 bytes of host memory an element, and 4 rows cols^2 multiply-adds (rows >=
/// cols). Source: Saxe et al. 2013, arXiv 1312.6120. Throws InvalidArgument if there are fewer than 2
/// dimensions, or gain is not finite in float32.
struct Orthogonal {
  double gain = 1.0;
  [[nodiscard]] Distribution distribution(std::span<const std::int64_t> shape) const;
};

}  // namespace onepass::initializers
