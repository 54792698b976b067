// slot_pool_test.cpp - a program's slots are kept between launches, up to a limit.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "machine/instruction.hpp"

namespace cuda_emulator {
namespace {

constexpr std::size_t kLimit = (std::size_t{256} << 20) / sizeof(std::uint64_t);

TEST(SlotPool, TakesWhatWasGivenOnlyOnceAndOnlyInItsSize) {
  SlotPool pool;
  EXPECT_TRUE(pool.take(3).empty());
  pool.give({1, 2, 3});
  EXPECT_TRUE(pool.take(2).empty());
  EXPECT_EQ(pool.take(3), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(pool.take(3).empty());
}

TEST(SlotPool, AllPoolsTogetherKeepNoMoreThanTheLimit) {
  SlotPool one, other;
  one.give(std::vector<std::uint64_t>(kLimit - 1));
  other.give(std::vector<std::uint64_t>(2));
  EXPECT_TRUE(other.take(2).empty());
  other.give(std::vector<std::uint64_t>(1));
  EXPECT_EQ(other.take(1).size(), 1u);
}

TEST(SlotPool, APoolThatEndsMakesRoomForOthers) {
  {
    SlotPool ended;
    ended.give(std::vector<std::uint64_t>(kLimit));
  }
  SlotPool pool;
  pool.give(std::vector<std::uint64_t>(1));
  EXPECT_EQ(pool.take(1).size(), 1u);
}

}  // namespace
}  // namespace cuda_emulator
