// draw_run.hpp - the random bits that a run of elements is rounded with. Compiled once for each instruction
// set.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/philox_words.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// Words in memory are halves in a row, the lower one first.
static_assert(std::endian::native == std::endian::little);

/// Blocks that one draw has at most: as many as a group, and one more, where the first begins within a block.
constexpr int kDrawnBlocks = kGroupBlocks + 1;
/// And those that it has room for.
constexpr int kDrawnRoom = (kDrawnBlocks + kBlocksAtOnce - 1) / kBlocksAtOnce * kBlocksAtOnce;

/// The halves of `blocks` blocks from `first` on.
inline __attribute__((noinline)) void draw_halves(const rule::Draws& draws, const random::Counter& first,
                                                  int blocks, std::uint16_t* halves) {
  if (static_cast<std::uint32_t>(first.block) <= std::uint32_t{0} - kDrawnBlocks) {
    return philox_words(draws.key, first, halves, blocks);
  }
  // A run of blocks counts in the low word alone, and here that would overflow.
  random::Counter counter = first;
  for (int b = 0; b < blocks; ++b, ++counter.block) {
    const random::Words drawn = draws.of(counter);
    std::memcpy(halves + b * random::kHalves, &drawn, sizeof drawn);
  }
}

/// Groups that one draw serves where each takes kHalves: the first of them may begin within a block. A
/// multiple of 16, so that what is staged by 16 groups has its noise from one draw.
template <int kHalves>
constexpr int kDrawnGroups = (random::kHalves * kDrawnBlocks - (random::kHalves - kHalves)) / kHalves / 16 *
                             16;

/// The halves of groups in a row, kHalves each.
template <int kHalves>
class DrawnHalves {
 public:
  static constexpr std::int64_t kRun = std::int64_t{kDrawnGroups<kHalves>} * storage::kBlock;

  /// Those of `count` elements, or of kRun if that is less, from the tensor's `group` on.
  void draw(const rule::Draws& draws, std::int64_t group, std::int64_t count, random::Purpose purpose) {
    const std::int64_t groups = (std::min(count, kRun) + storage::kBlock - 1) / storage::kBlock;
    const int place = draws.place(group, kHalves), halves = place + static_cast<int>(groups) * kHalves;
    draw_halves(draws, draws.counter(group, purpose, kHalves),
                (halves + random::kHalves - 1) / random::kHalves, halves_);
    first_ = halves_ + place;
  }
  /// Of the group that is so many groups further.
  [[nodiscard]] const std::uint16_t* of(std::int64_t group) const { return first_ + group * kHalves; }

 private:
  alignas(64) std::uint16_t halves_[random::kHalves * kDrawnRoom];
  const std::uint16_t* first_ = halves_;
};

}  // namespace
}  // namespace onepass::cpu
