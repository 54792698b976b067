// devices_test.cpp - devices, buffers, copies, and what the CPU has.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"
#include "onepass/cpu.hpp"

namespace onepass::test {
namespace {

using BufferHandle = Owner<onepass_buffer, onepass_buffer_destroy>;

TEST(CDevices, AreNamedAsInTheLibrary) {
  const char* name = nullptr;
  expect_ok(onepass_device_name(ONEPASS_CPU, &name));
  EXPECT_EQ(name, device_name(Device::cpu()));
  EXPECT_EQ(onepass_cuda_device_count(), cuda_device_count());
  EXPECT_EQ(refusal(onepass_device_name(-2, &name)),
            "onepass: device is -2; it must be -1 (the CPU) or the number of a CUDA device");
  EXPECT_EQ(refusal(onepass_device_name(ONEPASS_CPU, nullptr)), "onepass: name is null");
}

TEST(CDevices, TheCpuIsDescribedAsInTheLibrary) {
  onepass_cpu cpu{.size = sizeof cpu};
  expect_ok(onepass_describe_cpu(&cpu));
  EXPECT_EQ(cpu.isa, static_cast<std::int32_t>(best_isa()));
  EXPECT_EQ(cpu.threads, cpu_threads());
  EXPECT_EQ(cpu.cache_bytes, cpu_cache_bytes());
  EXPECT_EQ(cpu.pool, static_cast<std::int32_t>(best_pool()));
  for (const Isa isa : {Isa::best, Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    std::int32_t available = 7;
    expect_ok(onepass_isa_available(static_cast<std::int32_t>(isa), &available));
    EXPECT_EQ(available, isa_available(isa) ? 1 : 0);
  }
  std::int32_t available = 7;
  EXPECT_EQ(refusal(onepass_isa_available(5, &available)),
            "onepass: isa is 5; it must be from 0 (best) to 4 (avx512_bf16)");
  EXPECT_EQ(available, 7);
}

TEST(CDevices, BuffersAreFilledAndCopied) {
  BufferHandle buffer;
  expect_ok(onepass_buffer_create(ONEPASS_CPU, 64, nullptr, &buffer));
  auto* const data = static_cast<unsigned char*>(onepass_buffer_data(buffer));
  ASSERT_NE(data, nullptr);
  std::memset(data, 0xab, 64);
  expect_ok(onepass_fill_zero(ONEPASS_CPU, data, 32, nullptr));
  std::vector<unsigned char> copied(64, 0x11);
  expect_ok(onepass_copy(ONEPASS_CPU, copied.data(), ONEPASS_CPU, data, 64, nullptr));
  expect_ok(onepass_synchronize(ONEPASS_CPU, nullptr));
  EXPECT_EQ(copied[31], 0x00);
  EXPECT_EQ(copied[32], 0xab);
}

TEST(CDevices, BuffersAndCopiesRefuseBadArguments) {
  int some = 0;
  auto* buffer = reinterpret_cast<onepass_buffer*>(&some);
  EXPECT_EQ(refusal(onepass_buffer_create(ONEPASS_CPU, -1, nullptr, &buffer)),
            "onepass: bytes is -1; it must be 0 or more");
  EXPECT_EQ(buffer, nullptr);
  EXPECT_EQ(onepass_buffer_create(ONEPASS_CPU, std::int64_t{1} << 60, nullptr, &buffer),
            ONEPASS_OUT_OF_MEMORY);
  EXPECT_STREQ(onepass_last_error(), "onepass: there is not enough memory");
  EXPECT_EQ(refusal(onepass_buffer_create(ONEPASS_CPU, 1, nullptr, nullptr)), "onepass: buffer is null");
  EXPECT_EQ(onepass_buffer_data(nullptr), nullptr);
  int one = 1;
  EXPECT_EQ(refusal(onepass_copy(ONEPASS_CPU, nullptr, ONEPASS_CPU, &one, 4, nullptr)),
            "onepass: to is null");
  EXPECT_EQ(refusal(onepass_copy(ONEPASS_CPU, &one, ONEPASS_CPU, nullptr, 4, nullptr)),
            "onepass: from is null");
  EXPECT_EQ(refusal(onepass_copy(ONEPASS_CPU, nullptr, ONEPASS_CPU, nullptr, 0, nullptr)), "");
  EXPECT_EQ(refusal(onepass_fill_zero(ONEPASS_CPU, nullptr, 4, nullptr)), "onepass: to is null");
}

}  // namespace
}  // namespace onepass::test
