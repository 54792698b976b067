// philox_test.cpp - Philox4x32-10 reproduces published test vectors, and every counter is packed differently.
#include "onepass/random/philox.hpp"

#include <gtest/gtest.h>

#include <set>
#include <tuple>
#include <vector>

#include "random/golden/curand_philox.hpp"

namespace onepass::test {
namespace {

using random::Counter;
using random::Purpose;
using random::Words;

void expect_words(const Words& drawn, const Words& wanted) {
  for (int w = 0; w < 4; ++w) EXPECT_EQ(drawn.word[w], wanted.word[w]) << "word " << w;
}

// Source: Random123, tests/kat_vectors, the lines "philox4x32 10".
TEST(Philox, ReproducesRandom123sKnownAnswers) {
  expect_words(random::philox(0, Words{{0, 0, 0, 0}}), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  expect_words(random::philox(~std::uint64_t{0}, Words{{~0u, ~0u, ~0u, ~0u}}),
               {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  expect_words(random::philox(0x299f31d0a4093822, Words{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}),
               {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

// cuRAND takes its draws from 65,536 subsequences in turn. Number n of the generator is word n % 4 of draw
// n / 4 / 65536 (the counter's first two words) of subsequence n / 4 % 65536 (its last two). The offset is
// added to n. The key is the seed.
TEST(Philox, MatchesCurandsHostGenerator) {
  constexpr std::uint64_t kSubsequences = 65536;
  for (const CurandDraw& draw : kCurandDraws) {
    const std::uint64_t n = draw.index + draw.offset;
    const auto block = static_cast<std::uint32_t>(n / 4 / kSubsequences);
    const auto subsequence = static_cast<std::uint32_t>(n / 4 % kSubsequences);
    const Words drawn = random::philox(draw.seed, Words{{block, 0, subsequence, 0}});
    ASSERT_EQ(drawn.word[n % 4], draw.word) << "seed " << draw.seed << ", number " << n;
  }
}

TEST(Philox, CounterIsPackedLowestWordFirst) {
  const Counter counter{0x0000a1b2c3d4e5f6, Purpose::dropout, 0x11223344, 0x55667788};
  expect_words(random::pack(counter), {{0xc3d4e5f6, 0x0002a1b2, 0x11223344, 0x55667788}});
  expect_words(random::philox(7, counter), random::philox(7, random::pack(counter)));
}

// If two counters packed to the same words, the library would use the same random bits twice.
TEST(Philox, DifferentCountersPackToDifferentWords) {
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>> seen;
  int count = 0;
  for (const Purpose purpose : {Purpose::rounding, Purpose::ema, Purpose::dropout, Purpose::initialization}) {
    for (const std::uint64_t block : {0ull, 1ull, 0xffffffffull, 0x100000000ull, 0xffffffffffffull}) {
      for (const std::uint32_t step : {0u, 1u, ~0u}) {
        for (const std::uint32_t tensor : {0u, 1u, ~0u}) {
          const Words packed = random::pack({block, purpose, step, tensor});
          seen.emplace(packed.word[0], packed.word[1], packed.word[2], packed.word[3]);
          ++count;
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(seen.size()), count);
}

}  // namespace
}  // namespace onepass::test
