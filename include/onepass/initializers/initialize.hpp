// initialize.hpp - fills a tensor with initial values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <variant>

#include "onepass/initializers/constant.hpp"
#include "onepass/initializers/dirac.hpp"
#include "onepass/initializers/kaiming.hpp"
#include "onepass/initializers/lecun.hpp"
#include "onepass/initializers/normal.hpp"
#include "onepass/initializers/orthogonal.hpp"
#include "onepass/initializers/truncated_normal.hpp"
#include "onepass/initializers/uniform.hpp"
#include "onepass/initializers/xavier.hpp"
#include "onepass/stream.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// Any initializer.
using Initializer =
    std::variant<initializers::Constant, initializers::Zeros, initializers::Ones, initializers::Uniform,
                 initializers::Normal, initializers::XavierUniform, initializers::XavierNormal,
                 initializers::KaimingUniform, initializers::KaimingNormal, initializers::LecunUniform,
                 initializers::LecunNormal, initializers::TruncatedNormal,
                 initializers::VariancePreservingTruncatedNormal, initializers::Orthogonal, initializers::Eye,
                 initializers::Dirac>;

/// The numbers that, with an element's index, determine its random bits.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t tensor =
      0;  ///< Number of the tensor in the model. Tensors with one number draw the same bits.
  /// If set, the tensor is a shard, and this is the offset of its first element in the logical tensor that
  /// has the shape. The shard draws the values that the whole tensor would have there.
  std::optional<std::int64_t> first = {};
};

/// Fills `tensor` with initial values.
///
/// `shape` is the row-major shape of the logical tensor, from which the initializer takes fans and matrix
/// sizes. `tensor` is that whole tensor, or a range of its elements (RandomKey::first). Dtype: float32. At
/// most 2^50 elements.
///
/// Element i is drawn from word i % 4 of the Philox4x32-10 draw with the number i / 4, purpose
/// initialization, step 0, and the key's tensor and seed; normal numbers are drawn in pairs. A tensor
/// therefore has the same bits on CPU and CUDA, on any instruction set, and for any number of threads, split
/// or alignment.
///
/// On CUDA it is one launch, asynchronous on `stream`; on the CPU it is done when the call returns.
/// Orthogonal is computed on the host, and waits for `stream`.
///
/// Throws InvalidArgument, having changed nothing, if a number of the initializer is out of range; if the
/// shape does not suit the initializer or has another number of elements than the tensor; or if the tensor is
/// null, is on another device than it says, or is not aligned to a float. Throws CudaError if a CUDA call
/// fails.
void initialize(const Tensor& tensor, std::span<const std::int64_t> shape, const Initializer& initializer,
                const RandomKey& key, Stream stream = {});

/// The same with the shape written out: initialize(weight, {256, 784}, KaimingUniform{}, {.seed = 1}).
inline void initialize(const Tensor& tensor, std::initializer_list<std::int64_t> shape,
                       const Initializer& initializer, const RandomKey& key, Stream stream = {}) {
  initialize(tensor, std::span<const std::int64_t>(shape.begin(), shape.size()), initializer, key, stream);
}

}  // namespace onepass
