// drawn_halves.hpp - draws the random halves that consecutive blocks of 32 elements are rounded with.
// Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/philox_words.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Words in memory are also halves in memory, the lower half first.
static_assert(std::endian::native == std::endian::little);

/// Number of Philox draws that DrawnHalves makes at most: kDrawsAtOnce, and one more because the first
/// block's halves may begin in the middle of a draw.
constexpr int kMaxDraws = kDrawsAtOnce + 1;
/// Number of draws that it has room for: philox_words() writes a multiple of kDrawsPerVector.
constexpr int kRoomForDraws = (kMaxDraws + kDrawsPerVector - 1) / kDrawsPerVector * kDrawsPerVector;

/// Writes the halves of `count` draws, the first of which has the counter `first`.
inline __attribute__((noinline)) void draw_halves(const rule::Draws& draws, const random::Counter& first,
                                                  int count, std::uint16_t* halves) {
  if (static_cast<std::uint32_t>(first.draw) <= std::uint32_t{0} - kMaxDraws) {
    return philox_words(draws.key, first, halves, count);
  }
  // philox_words() counts in the low word only, which would overflow here.
  random::Counter counter = first;
  for (int d = 0; d < count; ++d, ++counter.draw) {
    const random::Words drawn = draws.of(counter);
    std::memcpy(halves + d * random::kHalves, &drawn, sizeof drawn);
  }
}

/// The 8-bit loop stages this many blocks at a time, and takes all their halves from one DrawnHalves.
constexpr int kServedMultiple = 16;

/// Number of blocks that kMaxDraws draws always suffice for, where a block takes `per_block` halves: 512,
/// 256, 128 or 64 blocks for 1, 2, 4 or 8 halves. A draw has random::kHalves = 8 halves. At worst, the first
/// block's halves are the last of the first draw, and the halves before them are lost. The rest serves whole
/// blocks; their number is rounded down to a multiple of kServedMultiple.
constexpr int served_blocks(int per_block) {
  const int usable = random::kHalves * kMaxDraws - (random::kHalves - per_block);
  return usable / per_block / kServedMultiple * kServedMultiple;
}

/// The random halves of consecutive blocks, kPerBlock for each block: 1, 2, 4 or 8.
template <int kPerBlock>
class DrawnHalves {
 public:
  /// Elements that one draw() serves at most.
  static constexpr std::int64_t kMaxElements = std::int64_t{served_blocks(kPerBlock)} * storage::kBlock;

  /// Draws the halves of min(count, kMaxElements) elements, from the tensor's block `block` on.
  void draw(const rule::Draws& draws, std::int64_t block, std::int64_t count, random::Purpose purpose) {
    const std::int64_t blocks = (std::min(count, kMaxElements) + storage::kBlock - 1) / storage::kBlock;
    const int place = draws.place(block, kPerBlock), halves = place + static_cast<int>(blocks) * kPerBlock;
    draw_halves(draws, draws.counter(block, purpose, kPerBlock),
                (halves + random::kHalves - 1) / random::kHalves, halves_);
    first_ = halves_ + place;
  }
  /// The kPerBlock halves of a block; block 0 is the one that draw() was called with.
  [[nodiscard]] const std::uint16_t* of(std::int64_t block) const { return first_ + block * kPerBlock; }

 private:
  alignas(64) std::uint16_t halves_[random::kHalves * kRoomForDraws];
  const std::uint16_t* first_ = halves_;
};

}  // namespace
}  // namespace onepass::cpu
