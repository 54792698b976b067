// draw_run.hpp - the random bits of a run of elements. Compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "host/cpu/philox_words.hpp"
#include "onepass/rule/element.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// The words of kGroupBlocks blocks from `first` on, four a block.
inline void draw_words(const rule::Draws& draws, const random::Counter& first,
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

/// Elements that one group of Philox words serves: two for each.
constexpr std::int64_t kRoundedRun = 2 * kGroup;

/// The bits of elements [8 * block, 8 * block + kRoundedRun) of a tensor, in order: the lower half of each
/// word first.
inline void draw_run(const rule::Draws& draws, std::int64_t block, random::Purpose purpose,
                     std::uint16_t (&bits)[kRoundedRun]) {
  std::uint32_t words[kGroup];
  draw_words(draws, draws.counter_of_block(block, purpose), words);
  std::memcpy(bits, words, sizeof words);
}

}  // namespace
}  // namespace onepass::cpu
