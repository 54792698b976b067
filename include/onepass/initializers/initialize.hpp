// initialize.hpp - fills a tensor with what an initializer says.
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

/// Any of the initializers.
using Initializer =
    std::variant<initializers::Constant, initializers::Zeros, initializers::Ones, initializers::Uniform,
                 initializers::Normal, initializers::XavierUniform, initializers::XavierNormal,
                 initializers::KaimingUniform, initializers::KaimingNormal, initializers::LecunUniform,
                 initializers::LecunNormal, initializers::TruncatedNormal,
                 initializers::VariancePreservingTruncatedNormal, initializers::Orthogonal, initializers::Eye,
                 initializers::Dirac>;

/// What the elements of a tensor depend on, besides their index.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t tensor = 0;  ///< Number of the tensor in the model. Two with one number draw the same.
  /// If set, the tensor is a shard: this is the offset of its first element in the logical tensor of the
  /// shape. It then draws what the whole would have there.
  std::optional<std::int64_t> first = {};
};

/// Fills `tensor`, which is of `shape` (row-major; fans and matrices are read from it), or a run of elements
/// out of it (RandomKey::first).
///
/// Element i is drawn from word i % 4 of Philox4x32-10 at block i / 4, purpose initialization, step 0, and
/// the key's tensor and seed; normals in pairs. So a tensor has the same bits on CPU and CUDA, on any
/// instruction set, for any threads, split or alignment. Dtype: float32.
///
/// One launch, asynchronous on `stream`; on the CPU done when it returns. Orthogonal is computed on the host
/// and waits for the stream. Throws InvalidArgument, having changed nothing, if a number of the initializer
/// is out of range, the shape is not one for it or has another number of elements than the tensor, or the
/// tensor is null, not where it is said to be or not aligned to a float; CudaError.
void initialize(const Tensor& tensor, std::span<const std::int64_t> shape, const Initializer& initializer,
                const RandomKey& key, Stream stream = {});

/// With the shape written out: initialize(weight, {256, 784}, KaimingUniform{}, {.seed = 1}).
inline void initialize(const Tensor& tensor, std::initializer_list<std::int64_t> shape,
                       const Initializer& initializer, const RandomKey& key, Stream stream = {}) {
  initialize(tensor, std::span<const std::int64_t>(shape.begin(), shape.size()), initializer, key, stream);
}

}  // namespace onepass
