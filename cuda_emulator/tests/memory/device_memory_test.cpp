// device_memory_test.cpp - tests the bounds, states and addresses of allocations.
#include <gtest/gtest.h>

#include "memory/device_memory.hpp"

namespace cuda_emulator {
namespace {

TEST(DeviceMemory, FreshMemoryIsOnesAndUnwritten) {
  DeviceMemory memory;
  Allocation* a = memory.reserve(100, AllocationKind::device, "a");
  memory.make_live(*a);
  for (int k = 0; k < 100; ++k) {
    ASSERT_EQ(static_cast<unsigned char>(a->region.bytes[k]), 0xff);
    ASSERT_EQ(a->region.state[k], kUnwritten);
  }
}

TEST(DeviceMemory, AllocationsAreAlignedAndApart) {
  DeviceMemory memory;
  Allocation* a = memory.reserve(1, AllocationKind::device, "a");
  Allocation* b = memory.reserve(1, AllocationKind::device, "b");
  EXPECT_EQ(a->base % 256, 0u);
  EXPECT_EQ(b->base % 256, 0u);
  EXPECT_GE(b->base - a->base, 257u);
  EXPECT_EQ(memory.find(a->base), a);
  EXPECT_EQ(memory.find(a->base + 1), nullptr);
  EXPECT_EQ(memory.nearest_below(a->base + 5), a);
}

TEST(DeviceMemory, AddressesAreNeverUsedTwice) {
  DeviceMemory memory;
  Allocation* a = memory.reserve(1000, AllocationKind::device, "a");
  memory.make_live(*a);
  memory.release(*a);
  Allocation* b = memory.reserve(1000, AllocationKind::device, "b");
  EXPECT_NE(a->base, b->base);
  EXPECT_EQ(memory.find(a->base)->state, AllocationState::freed);
  EXPECT_FALSE(a->region.contains(a->base, 1));
}

TEST(DeviceMemory, FullDeviceRefusesAnAllocation) {
  DeviceMemory memory;
  EXPECT_EQ(memory.reserve(std::uint64_t{9} << 30, AllocationKind::device, "big"), nullptr);
}

TEST(DeviceMemory, BoundsDoNotOverflow) {
  const Region region{.base = 1000, .size = 10};
  EXPECT_TRUE(region.contains(1006, 4));
  EXPECT_FALSE(region.contains(1007, 4));
  EXPECT_FALSE(region.contains(999, 1));
  EXPECT_FALSE(region.contains(~std::uint64_t{0}, 16));
}

}  // namespace
}  // namespace cuda_emulator
