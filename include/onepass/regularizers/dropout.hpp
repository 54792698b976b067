// dropout.hpp - dropout: a random mask over activations, which the backward pass draws again.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/random/philox.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/stream.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// Dropout with inverted scaling. Each element is kept with probability 1 - p:
///
///     y  = x / (1 - p)     if kept, else 0
///     dx = dy / (1 - p)    if kept, else 0
///
/// Source: Srivastava et al. 2014; the scaling is that of torch.nn.functional.dropout. Deviations: a dropped
/// element becomes 0 even if it is Inf or NaN (PyTorch multiplies by the mask, which gives NaN).
struct Dropout {
  double p = 0.5;  ///< Probability that an element is dropped, in [0, 1], with a resolution of 2^-32.
};

/// One use of dropout in a network. Shapes: all tensors have equal numel and are on the device of the
/// RandomState. Dtypes: float32.
struct DropoutCall {
  Tensor out;              ///< Output. May be exactly `in` or `residual`, but must not partly overlap them.
  Tensor in;               ///< x, or dy in the backward pass.
  Tensor residual = {};    ///< If not null, added to the result in the same pass. Its gradient is dy itself.
  std::uint32_t site = 0;  ///< Number of this use in the network. Two uses with one number share their masks.
  std::int64_t first = 0;  ///< Offset of the first element in the logical tensor; 0 unless this is a shard.
};

/// Computes out = dropout(in), or out = residual + dropout(in) if a residual is given.
///
/// Element i of a site is kept if word (first + i) % 4 of the Philox4x32-10 draw with the number
/// (first + i) / 4, purpose dropout, step and key of `state`, and tensor `site`, is at least p * 2^32. The
/// mask therefore depends only on seed, offset, site and element. It is the same on CPU and CUDA and for any
/// number of threads, split or alignment.
///
/// 1 / (1 - p) is computed in double and rounded once to float32. Its product with x is rounded once; with a
/// residual, product and sum are rounded once together (one fma). p = 0 copies the bits of `in` (or adds the
/// residual). p = 1 writes +0 (or the residual), whatever the numbers in `in` are.
///
/// On CUDA it is one launch, asynchronous on `stream`; on the CPU it is done when the call returns. It stores
/// nothing for the backward pass.
///
/// Throws InvalidArgument, having changed nothing, if p is not in [0, 1]; if sizes or devices differ; if
/// first + numel exceeds 2^50; if a pointer is null, is on another device than its Tensor says, or is not
/// aligned to a float; or if tensors partly overlap. Throws CudaError if a CUDA call fails.
void dropout_forward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                     Stream stream = {});

/// Computes the gradient: the same function of dy, with the mask of the forward pass drawn again. Site, first
/// and numel must be those of the forward pass, and `state` must not have advanced since. Otherwise as
/// dropout_forward().
void dropout_backward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                      Stream stream = {});

namespace regularizers {

/// The coefficients of dropout for each element.
struct DropoutCoefficients {
  std::uint32_t threshold;  ///< An element whose word is below the threshold is dropped.
  lane::Flag drops_all;     ///< Set if p = 1, which no 32-bit threshold can express.
  float scale;              ///< 1 / (1 - p).

  /// Computes the coefficients in double and rounds each of them once.
  static DropoutCoefficients prepare(const Dropout& dropout) {
    constexpr double kWords = 0x1p32;
    const double share = dropout.p * kWords;
    return {.threshold = share < kWords - 1.0 ? static_cast<std::uint32_t>(share + 0.5) : 0xffffffffu,
            .drops_all = dropout.p == 1.0 ? 1u : 0u,
            .scale = dropout.p == 1.0 ? 0.0f : static_cast<float>(1.0 / (1.0 - dropout.p))};
  }

  /// Returns true if the element with this word is kept.
  [[nodiscard]] ONEPASS_LANE bool keeps(std::uint32_t word) const {
    return (word >= threshold) & (drops_all == 0);
  }
  /// Returns the result for one element. A scale of 1 copies the bits, because a product would turn a
  /// signalling NaN into a quiet one.
  [[nodiscard]] ONEPASS_LANE float apply(float x, std::uint32_t word) const {
    const float scaled = scale == 1.0f ? x : x * scale;
    return keeps(word) ? scaled : 0.0f;
  }
  /// Returns the result for one element with a residual.
  [[nodiscard]] ONEPASS_LANE float apply(float x, std::uint32_t word, float residual) const {
    const float sum = lane::fma(x, scale, residual);
    return keeps(word) ? sum : residual;
  }
};

/// Returns the counter of a site's draw number `index`, which has the words of elements 4 * index to
/// 4 * index + 3.
ONEPASS_LANE random::Counter dropout_counter(const RandomPosition& position, std::uint64_t index,
                                             std::uint32_t site) {
  return {index, random::Purpose::dropout, position.step(), site};
}

}  // namespace regularizers
}  // namespace onepass
