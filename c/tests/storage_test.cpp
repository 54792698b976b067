// storage_test.cpp - options and 16-bit tensors reach the library, on the CPU and on a CUDA device.
#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"
#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

/// A storage of 16-bit parameters, in the names of both.
struct Stored {
  const char* name;
  std::int32_t dtype;
  onepass_storage storage;
  std::uint64_t seed;
  DType library_dtype;
  Options library_options;

  friend std::ostream& operator<<(std::ostream& out, const Stored& one) { return out << one.name; }
};

const std::vector<Stored>& storages() {
  static const std::vector<Stored> all{
      {"Plain", ONEPASS_BFLOAT16, {}, 0, DType::bfloat16, {}},
      {"StatesBFloat16",
       ONEPASS_BFLOAT16,
       {.states = ONEPASS_STATES_BFLOAT16},
       0,
       DType::bfloat16,
       {.storage = {.states = States::bfloat16}}},
      {"Stochastic",
       ONEPASS_BFLOAT16,
       {.rounding = ONEPASS_STOCHASTIC},
       0x123456789abcdef0,
       DType::bfloat16,
       {.storage = {.rounding = Rounding::stochastic}, .seed = 0x123456789abcdef0}},
      {"MasterFloat32",
       ONEPASS_FLOAT16,
       {.master = ONEPASS_MASTER_FLOAT32},
       0,
       DType::float16,
       {.storage = {.master = Master::float32}}},
      {"Split",
       ONEPASS_BFLOAT16,
       {.master = ONEPASS_MASTER_SPLIT},
       0,
       DType::bfloat16,
       {.storage = {.master = Master::split}}},
      {"Remainder8",
       ONEPASS_BFLOAT16,
       {.master = ONEPASS_MASTER_REMAINDER8, .states = ONEPASS_STATES_QUANTIZED8},
       5,
       DType::bfloat16,
       {.storage = {.master = Master::remainder8, .states = States::quantized8}, .seed = 5}}};
  return all;
}

class StoredAs : public testing::TestWithParam<Stored> {};

INSTANTIATE_TEST_SUITE_P(Formats, StoredAs, testing::ValuesIn(storages()),
                         [](const auto& tested) { return std::string(tested.param.name); });

/// The bits of 16-bit numbers from 0.5 up to 1, in either format.
std::vector<std::uint16_t> halves(std::int32_t dtype) {
  std::vector<std::uint16_t> bits(100);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint16_t>((dtype == ONEPASS_FLOAT16 ? 0x3800u : 0x3f00u) + i);
  }
  return bits;
}

/// Sets the gradients of a step.
void set_gradients(std::vector<float>& grad, std::size_t step) {
  for (std::size_t i = 0; i < grad.size(); ++i)
    grad[i] = 0.1f * static_cast<float>((i + step * 3) % 7) - 0.2f;
}

constexpr std::size_t kSteps = 20;

std::vector<std::uint16_t> steps_of_interface(const Stored& stored) {
  std::vector<std::uint16_t> values = halves(stored.dtype);
  std::vector<float> grad(values.size());
  onepass_storage storage = stored.storage;
  storage.size = sizeof storage;
  const onepass_options options{.size = sizeof options, .seed = stored.seed, .storage = &storage};
  const onepass_parameter tensor{.size = sizeof tensor,
                                 .dtype = stored.dtype,
                                 .value = values.data(),
                                 .grad = grad.data(),
                                 .numel = static_cast<std::int64_t>(values.size())};
  const std::vector<onepass_setting> settings{{"lr", 0.02, nullptr}};
  const onepass_group group = group_of("AdamW", settings);
  onepass_optimizer* made = nullptr;
  EXPECT_EQ(refusal(onepass_create(&group, 1, &tensor, 1, ONEPASS_CPU, &options, &made)), "");
  const Handle owner(made);
  for (std::size_t step = 0; step < kSteps; ++step) {
    set_gradients(grad, step);
    EXPECT_EQ(refusal(onepass_step(made, nullptr)), "");
  }
  return values;
}

std::vector<std::uint16_t> steps_of_library(const Stored& stored) {
  std::vector<std::uint16_t> values = halves(stored.dtype);
  std::vector<float> grad(values.size());
  const Tensor value{values.data(), stored.library_dtype, static_cast<std::int64_t>(values.size())};
  Optimizer optimizer(AdamW{.lr = 0.02},
                      std::vector<Parameter>{{.name = "tensor 0", .value = value, .grad = grad}},
                      stored.library_options);
  for (std::size_t step = 0; step < kSteps; ++step) {
    set_gradients(grad, step);
    optimizer.step();
  }
  return values;
}

TEST_P(StoredAs, HasTheBitsOfTheLibrary) {
  EXPECT_EQ(steps_of_interface(GetParam()), steps_of_library(GetParam()));
}

TEST(CStorage, EveryOptionChangesTheResult) {
  std::set<std::vector<std::uint16_t>> results;
  for (const Stored& stored : storages()) results.insert(steps_of_interface(stored));
  EXPECT_EQ(results.size(), storages().size());
}

TEST(CStorage, TensorsWithoutAGradientStay) {
  Model model;
  model.set_gradients(1);
  const Model before = model;
  std::vector<onepass_parameter> tensors = model.tensors();
  tensors[1].grad = nullptr;
  const onepass_group group = group_of("SGD");
  onepass_optimizer* made = nullptr;
  ASSERT_EQ(onepass_create(&group, 1, tensors.data(), 4, ONEPASS_CPU, nullptr, &made), ONEPASS_OK);
  const Handle owner(made);
  ASSERT_EQ(onepass_step(made, nullptr), ONEPASS_OK);
  EXPECT_NE(model.values[0], before.values[0]);
  EXPECT_EQ(model.values[1], before.values[1]);
}

TEST(CCuda, StepsAndSettingsHaveTheBitsOfTheCpu) {
  if (!cuda_available()) GTEST_SKIP() << "there is no CUDA device here";
  std::vector<float> value(100, 0.5f), grad(100, 0.25f);
  const std::size_t bytes = sizeof(float) * value.size();
  const DeviceBuffer value_there(Device::cuda(), bytes), grad_there(Device::cuda(), bytes);
  copy({Device::cuda(), value_there.data()}, {Device::cpu(), value.data()}, bytes);
  copy({Device::cuda(), grad_there.data()}, {Device::cpu(), grad.data()}, bytes);

  std::vector<float> results[2];
  for (const bool is_cpu : {true, false}) {
    const onepass_parameter tensor{.size = sizeof tensor,
                                   .value = is_cpu ? value.data() : value_there.data(),
                                   .grad = is_cpu ? grad.data() : grad_there.data(),
                                   .numel = 100};
    const onepass_group group = group_of("AdamW");
    onepass_optimizer* made = nullptr;
    ASSERT_EQ(onepass_create(&group, 1, &tensor, 1, is_cpu ? ONEPASS_CPU : 0, nullptr, &made), ONEPASS_OK)
        << onepass_last_error();
    const Handle owner(made);
    ASSERT_EQ(onepass_step(made, nullptr), ONEPASS_OK) << onepass_last_error();
    ASSERT_EQ(onepass_set(made, 0, "lr", 0.125, nullptr), ONEPASS_OK) << onepass_last_error();
    ASSERT_EQ(onepass_step(made, nullptr), ONEPASS_OK) << onepass_last_error();
    if (!is_cpu) copy({Device::cpu(), value.data()}, {Device::cuda(), value_there.data()}, bytes);
    results[is_cpu ? 0 : 1] = value;
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_LT(results[1][0], 0.4f);
}

}  // namespace
}  // namespace onepass::test
