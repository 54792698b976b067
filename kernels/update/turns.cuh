// turns.cuh - a warp's way through one chunk, and the random bits that its lanes draw for each other.
#pragma once

#include <cstdint>

#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Each turn a thread has a tile of kCount elements, next to its neighbour's; a turn later they lie a block
/// of kBlock threads further. A warp goes on while any of its lanes has something to do, and all of them take
/// part: they exchange what a group has in common.
template <int kCount, int kBlock>
class Turns {
 public:
  static constexpr int kLanesOfWarp = 32;
  static constexpr int kStride = kCount * kBlock;

  /// The first element of the thread's tile, from the chunk's.
  [[nodiscard]] __device__ __forceinline__ std::int64_t at() const { return at_; }
  [[nodiscard]] __device__ __forceinline__ bool any(Extent part) const { return first() < part.count; }
  [[nodiscard]] __device__ __forceinline__ bool whole(Extent part) const {
    return first() + kCount * kLanesOfWarp <= part.count;
  }
  /// Elements of the thread's tile, from 0 to kCount.
  [[nodiscard]] __device__ __forceinline__ int count(Extent part) const {
    const std::int64_t left = part.count - at_;
    return left >= kCount ? kCount : left < 0 ? 0 : static_cast<int>(left);
  }
  __device__ __forceinline__ void advance() {
    at_ += kStride;
    ++turn_;
  }

  /// The random halves of the group that the thread's tile of this turn lies in. To be asked for in each
  /// turn, or in none; `begin`: the chunk's first element.
  ///
  /// A draw is a hundred instructions, and four lanes want the same one: so each of them draws for another
  /// turn, and four turns cost what one did. Followers draw for themselves: what is kept from turn to turn
  /// would cost every update a quarter of its threads.
  template <int kHalves>
  [[nodiscard]] __device__ __forceinline__ rule::BlockHalves<kHalves> halves(const rule::Draws& draws,
                                                                             std::int64_t begin,
                                                                             random::Purpose purpose) {
    using Halves = rule::BlockHalves<kHalves>;
    static_assert(kCount * kLanesOfGroup == storage::kBlock && kStride % storage::kBlock == 0);
    const unsigned owner = turn_ % kLanesOfGroup;
    if (owner == 0) {
      const std::int64_t element = begin + at_ + threadIdx.x % kLanesOfGroup * std::int64_t{kStride};
      const Halves drawn = draws.halves<kHalves>(element / storage::kBlock, purpose);
#pragma unroll
      for (int w = 0; w < Halves::kWords; ++w) drawn_[w] = drawn.word[w];
    }
    Halves halves;
#pragma unroll
    for (int w = 0; w < Halves::kWords; ++w) {
      halves.word[w] = __shfl_sync(0xffffffffu, drawn_[w], static_cast<int>(owner), kLanesOfGroup);
    }
    return halves;
  }

 private:
  static constexpr int kLanesOfGroup = 4;

  /// Where the warp's elements of this turn begin.
  [[nodiscard]] __device__ __forceinline__ std::int64_t first() const {
    return at_ - kCount * static_cast<int>(threadIdx.x % kLanesOfWarp);
  }

  std::int64_t at_ = kCount * static_cast<std::int64_t>(threadIdx.x);
  unsigned turn_ = 0;
  std::uint32_t drawn_[2];  ///< The words of a group's halves.
};

}  // namespace onepass::kernels
