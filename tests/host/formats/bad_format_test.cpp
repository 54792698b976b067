// bad_format_test.cpp - formats and types that the library does not build are refused with a message that
// lists those that it builds.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/formats/format_model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

FormatModel model_of(DType param) { return FormatModel({"", param, param, {}}, Device::cpu(), {10, 40}); }

Parameter named(const std::string& name, const FormatModel& model, std::size_t i) {
  Parameter parameter = model.parameters()[i];
  parameter.name = name;
  return parameter;
}

TEST(BadFormat, MessageListsWhatThereIsForTheType) {
  const FormatModel low = model_of(DType::float16), wide = model_of(DType::float32);
  EXPECT_TRUE(refused([&] { Optimizer(SGD{}, low.parameters(), {.storage = {.master = Master::split}}); },
                      {"Optimizer", "\"t0\"", "asks for float16 with master split and states float32",
                       "for float16 there are master none, float32, remainder8",
                       "with states float32, bfloat16, quantized8"}));
  EXPECT_TRUE(refused(
      [&] { Optimizer(SGD{}, wide.parameters(), {.float32_storage = {.master = Master::float32}}); },
      {"\"t0\"", "asks for float32 with master float32", "for float32 there are master none with states"}));
}

TEST(BadFormat, AParametersOwnStorageIsNamedToo) {
  std::vector<Parameter> parameters = model_of(DType::float16).parameters();
  parameters[1].storage = Storage{.master = Master::split};
  EXPECT_TRUE(refused([&] { Optimizer(SGD{}, parameters); }, {"\"t1\"", "float16 with master split"}));
}

TEST(BadFormat, StorageIsRefusedIfNoParameterHasItsType) {
  const FormatModel wide = model_of(DType::float32), low = model_of(DType::bfloat16);
  for (const Storage& storage : {Storage{.master = Master::split}, Storage{.states = States::bfloat16},
                                 Storage{.master = Master::remainder8, .states = States::quantized8}}) {
    EXPECT_TRUE(refused([&] { Optimizer(AdamW{}, wide.parameters(), {.storage = storage}); },
                        {"Optimizer", "storage asks for master", "all are of float32: use float32_storage"}));
    EXPECT_TRUE(refused([&] { Optimizer(AdamW{}, low.parameters(), {.float32_storage = storage}); },
                        {"Optimizer", "float32_storage asks for master", "all are of 16 bits: use storage"}));
  }
}

// Beside 16-bit parameters, float32 parameters keep float32 storage, in any order and also if added later.
TEST(BadFormat, Float32BesideSixteenBitsIsAccepted) {
  const FormatModel wide = model_of(DType::float32), narrow = model_of(DType::bfloat16);
  for (const bool wide_first : {true, false}) {
    std::vector<Parameter> parameters{named("a", wide_first ? wide : narrow, 0),
                                      named("b", wide_first ? narrow : wide, 0)};
    Optimizer optimizer{SGD{.momentum = 0.5}, parameters, {.storage = {.master = Master::split}}};
    optimizer.add_parameters(std::vector{named("c", wide, 1)});
    EXPECT_EQ(optimizer.state("c", "momentum_buffer").dtype, DType::float32);
    EXPECT_EQ(optimizer.state_dict().parameters[2].states.size(), 1u);
  }
}

TEST(BadFormat, GradientsMustBeOfFloat32OrOfTheValuesType) {
  std::vector<Parameter> narrow = model_of(DType::bfloat16).parameters();
  narrow[0].grad.dtype = DType::float16;
  EXPECT_TRUE(refused([&] { Optimizer(SGD{}, narrow); },
                      {"gradient of \"t0\" is of float16", "must be of float32 or of its value's bfloat16"}));
  std::vector<Parameter> wide = model_of(DType::float32).parameters();
  wide[0].grad.dtype = DType::bfloat16;
  EXPECT_TRUE(refused([&] { Optimizer(SGD{}, wide); },
                      {"gradient of \"t0\" is of bfloat16", "must be of float32, as its value is"}));
}

}  // namespace
}  // namespace onepass::test
