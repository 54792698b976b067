// dtype_test.cpp - a tensor knows its bytes, and functions that need float32 refuse every other type.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "onepass/onepass.hpp"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/float32.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

TEST(DType, SizeOfIsTheElementSizeOfTheCodec) {
  EXPECT_EQ(size_of(DType::float32), sizeof(storage::Float32::Element));
  EXPECT_EQ(size_of(DType::bfloat16), sizeof(storage::BFloat16::Element));
  EXPECT_EQ(size_of(DType::float16), sizeof(storage::Float16::Element));
  EXPECT_EQ(size_of(DType::int64), sizeof(std::int64_t));
  EXPECT_STREQ(to_string(DType::int64), "int64");
  EXPECT_EQ(size_of(DType::float64), sizeof(double));
  EXPECT_STREQ(to_string(DType::float64), "float64");
}

TEST(DType, A16BitTensorHasTwoBytesPerElement) {
  std::vector<std::uint16_t> memory(10);
  const Tensor tensor(memory.data(), DType::bfloat16, 7);
  EXPECT_EQ(tensor.bytes(), 14u);
  EXPECT_EQ(tensor.dtype, DType::bfloat16);
  EXPECT_EQ(tensor.device, Device::cpu());
  EXPECT_EQ(tensor.data, memory.data());
}

TEST(DType, FunctionsThatNeedFloat32RefuseOtherTypes) {
  std::vector<std::uint16_t> memory(8, 0x3f80);
  std::vector<float> floats(8, 1.0f);
  const Tensor half(memory.data(), DType::float16, 8), brain(memory.data(), DType::bfloat16, 8);
  EXPECT_TRUE(refused([&] { initialize(half, {8}, initializers::Constant{2.0}, {.seed = 1}); },
                      {"float32", "float16"}));
  RandomState state(Device::cpu(), {.seed = 1});
  EXPECT_TRUE(refused([&] { dropout_forward({0.5}, {.out = floats, .in = brain}, state); },
                      {"in must be of float32", "bfloat16"}));
  EXPECT_TRUE(refused([&] { dropout_forward({0.5}, {.out = brain, .in = floats}, state); },
                      {"out must be of float32", "bfloat16"}));
  const auto optimize = [](const Tensor& value, const Tensor& grad) {
    Optimizer{SGD{}, std::vector<Parameter>{{"weight", value, grad}}};
  };
  EXPECT_TRUE(refused([&] { optimize(floats, half); }, {"gradient of \"weight\"", "float32", "float16"}));
  const Tensor codes(memory.data(), DType::uint16, 8);
  EXPECT_TRUE(refused([&] { optimize(codes, floats); }, {"value of \"weight\"", "uint16", "bfloat16"}));
  std::vector<std::int64_t> counts(8, 1);
  const Tensor whole(counts.data(), DType::int64, 8);
  EXPECT_TRUE(refused([&] { optimize(whole, floats); }, {"value of \"weight\"", "int64", "bfloat16"}));
  EXPECT_TRUE(refused([&] { optimize(floats, whole); }, {"gradient of \"weight\"", "int64", "float32"}));
  EXPECT_EQ(memory, std::vector<std::uint16_t>(8, 0x3f80));
  EXPECT_EQ(floats, std::vector<float>(8, 1.0f));
}

}  // namespace
}  // namespace onepass::test
