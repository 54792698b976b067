// draw_run.hpp - the random words that a run of elements is rounded with. Compiled once for each instruction
// set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "host/cpu/philox_words.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// The words of `blocks` blocks from `first` on, four a block; at most kGroupBlocks.
inline __attribute__((noinline)) void draw_words(const rule::Draws& draws, const random::Counter& first,
                                                 int blocks, std::uint32_t (&words)[kGroup]) {
  if (static_cast<std::uint32_t>(first.block) <= std::uint32_t{0} - kGroupBlocks) {
    return group_words(draws.key, first, words, blocks);
  }
  // A group counts in the low word alone, and here that would overflow.
  random::Counter counter = first;
  for (std::uint32_t* to = words; to < words + 4 * blocks; to += 4, ++counter.block) {
    std::memcpy(to, draws.of(counter).word, sizeof(random::Words));
  }
}

/// Groups that one draw serves where each takes kWords: the first of them may begin within a block. A
/// multiple of 16, so that what is staged by 16 groups has its words from one draw.
template <int kWords>
constexpr int kDrawnGroups = (4 * kGroupBlocks - (4 - kWords)) / kWords / 16 * 16;

/// The words of groups in a row, kWords each.
template <int kWords>
class DrawnWords {
 public:
  static constexpr std::int64_t kRun = std::int64_t{kDrawnGroups<kWords>} * storage::kGroup;

  /// Those of `count` elements, or of kRun if that is less, from the tensor's `group` on.
  void draw(const rule::Draws& draws, std::int64_t group, std::int64_t count, random::Purpose purpose) {
    const std::int64_t groups = (std::min(count, kRun) + storage::kGroup - 1) / storage::kGroup;
    const int place = draws.place(group, kWords), words = place + static_cast<int>(groups) * kWords;
    draw_words(draws, draws.counter(group, purpose, kWords), (words + 3) / 4, words_);
    first_ = words_ + place;
  }
  /// Of the group that is so many groups further.
  [[nodiscard]] const std::uint32_t* of(std::int64_t group) const { return first_ + group * kWords; }

 private:
  std::uint32_t words_[kGroup];
  const std::uint32_t* first_ = words_;
};

}  // namespace
}  // namespace onepass::cpu
