// clock_test.cpp - tests the clocks that threads know of each other, and the races that the shadow finds.
#include <gtest/gtest.h>

#include "checker/shadow.hpp"
#include "checker/sync.hpp"

namespace cuda_emulator {
namespace {

struct Thread {
  BlockId block = 1;
  std::uint32_t thread = 0;
  Knowledge knowledge = {};
  FenceState fences = {};

  Accessor access(bool write, bool strong = false) const {
    return {.block = block,
            .thread = thread,
            .knowledge = &knowledge,
            .first_block = 1,
            .write = write,
            .strong = strong};
  }
  void fence(Scope scope = Scope::device) { cuda_emulator::fence(knowledge, fences, block, thread, scope); }
};

TEST(VectorClock, JoinKeepsTheHigherClock) {
  VectorClock x, y;
  x.raise(1, 5, 10);
  y.raise(1, 5, 12);
  y.raise(2, kMaxThreads, 3);
  x.join(y);
  EXPECT_TRUE(x.knows(1, 5, 12));
  EXPECT_FALSE(x.knows(1, 5, 13));
  EXPECT_TRUE(x.knows(2, 77, 3));  // The clock of a whole block covers each of its threads.
  EXPECT_FALSE(x.knows(1, 6, 1));
}

TEST(Shadow, UnorderedWriteAndReadConflict) {
  Shadow shadow;
  shadow.resize(64);
  Thread writer, reader{.thread = 1};
  EXPECT_FALSE(shadow.record(0, 4, writer.access(true)));
  const auto conflict = shadow.record(0, 4, reader.access(false));
  ASSERT_TRUE(conflict);
  EXPECT_TRUE(conflict->wrote);
  EXPECT_EQ(conflict->thread, 0u);
  EXPECT_FALSE(shadow.record(4, 4, reader.access(false)));
}

TEST(Shadow, BlockBarrierOrdersAccesses) {
  Shadow shadow;
  shadow.resize(64);
  Thread writer, reader{.thread = 40};
  shadow.record(0, 16, writer.access(true));
  reader.knowledge.block = writer.knowledge.own;
  EXPECT_FALSE(shadow.record(0, 16, reader.access(false)));
}

TEST(Shadow, WriteAfterSeveralReadersNeedsAllOfThemOrdered) {
  Shadow shadow;
  shadow.resize(64);
  Thread first, second{.thread = 1}, writer{.thread = 2};
  shadow.record(0, 4, first.access(false));
  shadow.record(0, 4, second.access(false));
  writer.knowledge.lanes[0] = 1;
  const auto conflict = shadow.record(0, 4, writer.access(true));
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->thread, 1u);
}

TEST(Shadow, NeighbouringBytesDoNotConflict) {
  Shadow shadow;
  shadow.resize(64);
  Thread first, second{.thread = 1};
  EXPECT_FALSE(shadow.record(0, 1, first.access(true)));
  EXPECT_FALSE(shadow.record(1, 1, second.access(true)));
  EXPECT_TRUE(shadow.record(0, 2, second.access(true)));
}

TEST(Shadow, TwoStrongAccessesNeverConflict) {
  Shadow shadow;
  shadow.resize(64);
  Thread first, second{.block = 2};
  EXPECT_FALSE(shadow.record(0, 4, first.access(true, true)));
  EXPECT_FALSE(shadow.record(0, 4, second.access(true, true)));
  EXPECT_TRUE(shadow.record(0, 4, first.access(false)));
}

TEST(Shadow, ReadersOfManyBlocksAreRemembered) {
  Shadow shadow;
  shadow.resize(64);
  Thread one{.block = 1}, two{.block = 2}, writer{.block = 3};
  shadow.record(0, 4, one.access(false));
  shadow.record(0, 4, two.access(false));
  auto known = std::make_shared<VectorClock>();
  known->raise(2, 0, 1);
  writer.knowledge.others = known;
  const auto conflict = shadow.record(0, 4, writer.access(true));
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->block, 1u);
}

TEST(Sync, FenceAtomicFenceCarriesKnowledge) {
  SyncTable table;
  Thread giver{.block = 1}, taker{.block = 2};
  const Clock written = giver.knowledge.own;
  giver.fence();
  table.access(64, 1, giver.fences, StrongAccess::read_modify_write);
  table.access(64, 2, taker.fences, StrongAccess::read_modify_write);
  EXPECT_EQ(taker.knowledge.others, nullptr);  // It learns only at its own fence.
  taker.fence();
  ASSERT_NE(taker.knowledge.others, nullptr);
  EXPECT_TRUE(taker.knowledge.others->knows(1, 0, written));
  EXPECT_FALSE(taker.knowledge.others->knows(1, 0, giver.knowledge.own));
}

TEST(Sync, AtomicWithoutFenceCarriesNothing) {
  SyncTable table;
  Thread giver{.block = 1}, taker{.block = 2};
  table.access(64, 1, giver.fences, StrongAccess::read_modify_write);
  table.access(64, 2, taker.fences, StrongAccess::read_modify_write);
  taker.fence();
  EXPECT_EQ(taker.knowledge.others, nullptr);
}

TEST(Sync, BlockScopeFenceDoesNotReachOtherBlocks) {
  SyncTable table;
  Thread giver{.block = 1}, taker{.block = 2}, neighbour{.block = 1, .thread = 64};
  giver.fence(Scope::block);
  table.access(64, 1, giver.fences, StrongAccess::store);
  table.access(64, 2, taker.fences, StrongAccess::load);
  table.access(64, 1, neighbour.fences, StrongAccess::load);
  taker.fence();
  neighbour.fence(Scope::block);
  EXPECT_EQ(taker.knowledge.others, nullptr);
  EXPECT_NE(neighbour.knowledge.others, nullptr);
}

}  // namespace
}  // namespace cuda_emulator
