// draw_run.hpp - the random words that a run of elements is rounded with. Compiled once for each instruction
// set.
#pragma once

#include <cstdint>
#include <cstring>

#include "host/cpu/philox_words.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/dither.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// The words of kGroupBlocks blocks from `first` on, four a block.
inline __attribute__((noinline)) void draw_words(const rule::Draws& draws, const random::Counter& first,
                                                 std::uint32_t (&words)[kGroup]) {
  if (static_cast<std::uint32_t>(first.block) <= std::uint32_t{0} - kGroupBlocks) {
    return group_words(draws.key, first, words);
  }
  // A group counts in the low word alone, and here that would overflow.
  random::Counter counter = first;
  for (std::uint32_t* to = words; to < words + kGroup; to += 4, ++counter.block) {
    std::memcpy(to, draws.of(counter).word, sizeof(random::Words));
  }
}

/// Elements that one group of Philox blocks serves: 32 for each.
constexpr std::int64_t kDrawnRun = kGroupBlocks * storage::kGroup;

}  // namespace
}  // namespace onepass::cpu
