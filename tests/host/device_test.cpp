// device_test.cpp - devices, instruction sets, buffers and copies work on a machine without a GPU.
#include "onepass/device.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "onepass/cpu.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

TEST(Device, CpuAndCudaAreToldApart) {
  EXPECT_FALSE(Device::cpu().is_cuda());
  EXPECT_TRUE(Device::cuda(2).is_cuda());
  EXPECT_EQ(Device::cuda(2).index(), 2);
  EXPECT_NE(Device::cpu(), Device::cuda(0));
  EXPECT_EQ(to_string(Device::cpu()), "cpu");
  EXPECT_EQ(to_string(Device::cuda(2)), "cuda:2");
}

TEST(Device, CpuIsNamedWithItsInstructionSet) {
  const std::string name = device_name(Device::cpu());
  EXPECT_NE(name.find("cpu"), std::string::npos);
  EXPECT_NE(name.find(to_string(best_isa())), std::string::npos);
}

// The functions must not fail or throw on a machine without a driver.
TEST(Device, CountingGpusNeverFails) {
  EXPECT_GE(cuda_device_count(), 0);
  EXPECT_EQ(cuda_available(), cuda_device_count() > 0);
}

TEST(Isa, BaselineAndBestAreAvailable) {
  EXPECT_TRUE(isa_available(Isa::baseline));
  EXPECT_TRUE(isa_available(best_isa()));
  EXPECT_NE(best_isa(), Isa::best);
  EXPECT_EQ(to_string(Isa::avx512), "avx512");
  EXPECT_EQ(to_string(Isa::avx512_bf16), "avx512_bf16");
  EXPECT_GE(cpu_threads(), 1);
}

TEST(DeviceBuffer, CpuMemoryIsAlignedToSixtyFourBytes) {
  for (const std::size_t bytes : {1u, 4u, 100u, 1u << 20, (8u << 20) + 4u}) {
    const DeviceBuffer buffer(Device::cpu(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u) << bytes;
    EXPECT_EQ(buffer.bytes(), bytes);
    buffer.as<char>()[0] = 1;
    buffer.as<char>()[bytes - 1] = 1;
  }
}

TEST(DeviceBuffer, LargeBuffersOnTheCpuStartAtDifferentOffsetsInTheirPages) {
  constexpr std::size_t kHugePage = 2u << 20;
  std::vector<DeviceBuffer> buffers;
  std::set<std::uintptr_t> places;
  for (int i = 0; i < 8; ++i) {
    buffers.emplace_back(Device::cpu(), 2 * kHugePage);
    places.insert(reinterpret_cast<std::uintptr_t>(buffers.back().data()) % kHugePage);
  }
  EXPECT_EQ(places.size(), buffers.size());
}

TEST(DeviceBuffer, MovingHandsTheMemoryOver) {
  DeviceBuffer first(Device::cpu(), 64);
  void* const memory = first.data();
  DeviceBuffer second = std::move(first);
  EXPECT_EQ(second.data(), memory);
  DeviceBuffer third(Device::cpu(), 8);
  third = std::move(second);
  EXPECT_EQ(third.data(), memory);
  EXPECT_EQ(third.bytes(), 64u);
  third = DeviceBuffer();
  EXPECT_EQ(third.data(), nullptr);
  EXPECT_EQ(third.bytes(), 0u);
}

TEST(DeviceBuffer, SizesThatNoMemoryHasAreRefused) {
  for (const std::int64_t size : {std::int64_t{-1}, std::int64_t{-100}, std::int64_t{-2} << 20,
                                  std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max(), std::int64_t{1} << 62}) {
    EXPECT_THROW(DeviceBuffer(Device::cpu(), static_cast<std::size_t>(size)), std::bad_alloc) << size;
  }
}

TEST(DeviceBuffer, SizeOfZeroIsAccepted) {
  EXPECT_NO_THROW(DeviceBuffer(Device::cpu(), 0));
  EXPECT_EQ(DeviceBuffer().bytes(), 0u);
}

TEST(Copy, CpuToCpuCopiesTheBytesAndFillZeroZeroesThem) {
  const std::vector<float> source{1.0f, -2.0f, 3.0f};
  std::vector<float> target(3, 9.0f);
  copy({Device::cpu(), target.data()}, {Device::cpu(), source.data()}, 8);
  EXPECT_TRUE(equal_bits(std::vector<float>{1.0f, -2.0f, 9.0f}, target));
  fill_zero({Device::cpu(), target.data() + 1}, 4);
  EXPECT_TRUE(equal_bits(std::vector<float>{1.0f, 0.0f, 9.0f}, target));
  synchronize(Device::cpu());
}

}  // namespace
}  // namespace onepass::test
