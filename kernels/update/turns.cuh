// turns.cuh - the turns of a warp over one chunk, and the random bits that its lanes draw for each other.
#pragma once

#include <cstdint>

#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// In each turn a thread has a tile of kCount elements, next to the tile of the neighbouring thread. From one
/// turn to the next the tile moves by kCount * kThreadCount elements, where kThreadCount is the number of
/// threads in the thread block. A warp goes on while any of its lanes has an element, and all lanes take part
/// in every turn, because they exchange the random bits and scales that the elements of a block share.
template <int kCount, int kThreadCount>
class Turns {
 public:
  static constexpr int kLanesOfWarp = 32;
  static constexpr int kStride = kCount * kThreadCount;

  /// Returns the index of the tile's first element in the chunk.
  [[nodiscard]] __device__ __forceinline__ std::int64_t at() const { return at_; }
  /// Returns whether any lane of the warp has an element in this turn.
  [[nodiscard]] __device__ __forceinline__ bool any(Extent part) const { return first() < part.count; }
  /// Returns whether every lane of the warp has a whole tile in this turn.
  [[nodiscard]] __device__ __forceinline__ bool whole(Extent part) const {
    return first() + kCount * kLanesOfWarp <= part.count;
  }
  /// Returns the number of elements in the thread's tile, from 0 to kCount.
  [[nodiscard]] __device__ __forceinline__ int count(Extent part) const {
    const std::int64_t left = part.count - at_;
    return left >= kCount ? kCount : left < 0 ? 0 : static_cast<int>(left);
  }
  __device__ __forceinline__ void advance() {
    at_ += kStride;
    ++turn_;
  }

  /// Returns the random halves of the block that the thread's tile of this turn lies in. Call it in every
  /// turn or in none. `first`: Chunk::first.
  ///
  /// A draw takes about a hundred instructions, and the four lanes of a block need the same one. Each of them
  /// therefore draws for a different one of four turns, so that four turns cost as much as one. (A chunk with
  /// a lead has one turn, in which the first lane draws for its one block.) Followers draw in every lane
  /// instead: the registers that keep a second draw from turn to turn would cost every update a quarter of
  /// its resident threads.
  template <int kHalves>
  [[nodiscard]] __device__ __forceinline__ rule::BlockHalves<kHalves> halves(const rule::Draws& draws,
                                                                             std::int64_t first,
                                                                             random::Purpose purpose) {
    rule::BlockHalves<kHalves> halves;
    share(first, halves.word, [&](std::int64_t block) { return draws.halves<kHalves>(block, purpose); });
    return halves;
  }
  /// Returns the whole draw that has the block's halves, where a block takes `each` halves; otherwise as
  /// above.
  [[nodiscard]] __device__ __forceinline__ random::Words draw(const rule::Draws& draws, std::int64_t first,
                                                              random::Purpose purpose, int each) {
    random::Words words;
    share(first, words.word,
          [&](std::int64_t block) { return draws.of(draws.counter(block, purpose, each)); });
    return words;
  }

 private:
  static constexpr int kLanesOfBlock = 4;

  /// Calls drawn(block) in one of four turns, for the block of the tile that this lane has in one of them,
  /// and hands the words of this turn's block to all of its lanes.
  template <int kWords, class Drawn>
  __device__ __forceinline__ void share(std::int64_t first, std::uint32_t (&words)[kWords],
                                        const Drawn& drawn) {
    static_assert(kCount * kLanesOfBlock == storage::kBlock && kStride % storage::kBlock == 0);
    const unsigned owner = turn_ % kLanesOfBlock;
    if (owner == 0) {
      const std::int64_t element = first + at_ + threadIdx.x % kLanesOfBlock * std::int64_t{kStride};
      const auto own = drawn(element / storage::kBlock);
#pragma unroll
      for (int w = 0; w < kWords; ++w) drawn_[w] = own.word[w];
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      words[w] = __shfl_sync(0xffffffffu, drawn_[w], static_cast<int>(owner), kLanesOfBlock);
    }
  }

  /// Returns the index in the chunk of the warp's first element in this turn.
  [[nodiscard]] __device__ __forceinline__ std::int64_t first() const {
    return at_ - kCount * static_cast<int>(threadIdx.x % kLanesOfWarp);
  }

  std::int64_t at_ = kCount * static_cast<std::int64_t>(threadIdx.x);
  unsigned turn_ = 0;
  std::uint32_t drawn_[4];  ///< The words of the halves that this lane has drawn for its block.
};

}  // namespace onepass::kernels
