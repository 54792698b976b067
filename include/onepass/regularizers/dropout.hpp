// dropout.hpp - dropout: a random mask over activations, drawn again where it is needed again.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/random/philox.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/stream.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// Dropout with inverted scaling:
///     y = x / (1 - p) where kept, else 0           x is kept with probability 1 - p
///     dx = dy / (1 - p) where kept, else 0
/// Source: Srivastava et al. 2014; the scaling as in torch.nn.functional.dropout. Deviations: what is dropped
/// is 0 even if it is Inf or NaN (PyTorch multiplies by the mask, which gives NaN).
struct Dropout {
  double p = 0.5;  ///< Share of elements that are dropped, in [0, 1]; resolved to 2^-32.
};

/// One use of dropout in a network. Shapes: all tensors have equal numel and lie on the device of the
/// RandomState. Dtypes: float32.
struct DropoutCall {
  Tensor out;              ///< Written. May be `in` or `residual` itself; may not overlap them otherwise.
  Tensor in;               ///< x, or dy in the backward pass.
  Tensor residual = {};    ///< If not null: added, in the same pass. Its gradient is dy itself.
  std::uint32_t site = 0;  ///< Number of this place in the network. Two places with one number share masks.
  std::int64_t first = 0;  ///< Offset of the first element in the logical tensor; 0 unless this is a shard.
};

/// out = dropout(in), or out = residual + dropout(in) where a residual is given.
///
/// Element i of a site is kept if word (first + i) % 4 of Philox4x32-10 at block (first + i) / 4, purpose
/// dropout, step and key of `state`, tensor `site`, is at least p * 2^32. So the mask depends on nothing but
/// seed, offset, site and element: the same on CPU and CUDA, for any threads, split or alignment.
///
/// 1 / (1 - p) is formed in double and rounded once to float; so is its product with x, or, with a residual,
/// the product and the sum together (one fma). p = 0 copies bits (or adds the residual), p = 1 writes +0 (or
/// the residual), whatever stands in `in`.
///
/// One launch, asynchronous on `stream`; on the CPU done when it returns. Nothing is stored for the backward
/// pass. Throws InvalidArgument, having changed nothing, if p is not in [0, 1], if sizes or devices differ, a
/// pointer is null, not where it is said to be or not aligned to a float, or if tensors partly overlap;
/// CudaError.
void dropout_forward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                     Stream stream = {});

/// The gradient: the same function of dy, with the mask of the forward pass drawn again. Site, first and
/// numel must be those of the forward pass, and `state` must not have advanced since.
void dropout_backward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                      Stream stream = {});

namespace regularizers {

/// What a Dropout means for each element.
struct DropoutCoefficients {
  std::uint32_t threshold;  ///< A word below it drops its element.
  lane::Flag drops_all;     ///< p = 1: there is no threshold that high.
  float scale;              ///< 1 / (1 - p).

  static DropoutCoefficients prepare(const Dropout& dropout) {
    constexpr double kWords = 0x1p32;
    const double share = dropout.p * kWords;
    return {.threshold = share < kWords - 1.0 ? static_cast<std::uint32_t>(share + 0.5) : 0xffffffffu,
            .drops_all = dropout.p == 1.0 ? 1u : 0u,
            .scale = dropout.p == 1.0 ? 0.0f : static_cast<float>(1.0 / (1.0 - dropout.p))};
  }

  [[nodiscard]] ONEPASS_LANE bool keeps(std::uint32_t word) const {
    return (word >= threshold) & (drops_all == 0);
  }
  /// One element. Where the scale is 1 the bits are copied: a product would quiet a signalling NaN.
  [[nodiscard]] ONEPASS_LANE float apply(float x, std::uint32_t word) const {
    const float scaled = scale == 1.0f ? x : x * scale;
    return keeps(word) ? scaled : 0.0f;
  }
  [[nodiscard]] ONEPASS_LANE float apply(float x, std::uint32_t word, float residual) const {
    const float sum = lane::fma(x, scale, residual);
    return keeps(word) ? sum : residual;
  }
};

/// Where element `index` of a site finds its word.
ONEPASS_LANE random::Counter dropout_counter(const RandomPosition& position, std::uint64_t block,
                                             std::uint32_t site) {
  return {block, random::Purpose::dropout, position.step(), site};
}

}  // namespace regularizers
}  // namespace onepass
