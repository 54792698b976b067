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

constexpr const char* kThereAre =
    "there are: float32 with master none and states float32; bfloat16 with master none and states float32; "
    "bfloat16 with master none and states bfloat16; bfloat16 with master float32 and states float32; "
    "bfloat16 with master split and states float32; bfloat16 with master remainder8 and states quantized8; "
    "float16 with master float32 and states float32";

FormatModel model_of(DType param) { return FormatModel({"", param, param, {}}, Device::cpu(), {10, 40}); }

Parameter named(const std::string& name, const FormatModel& model, std::size_t i) {
  Parameter parameter = model.parameters()[i];
  parameter.name = name;
  return parameter;
}

TEST(BadFormat, MessageListsTheBuiltFormatsAndTheLineThatAddsThisOne) {
  const FormatModel model = model_of(DType::bfloat16);
  EXPECT_TRUE(
      refused([&] { Optimizer(SGD{}, model.parameters(), {.storage = {.master = Master::remainder8}}); },
              {"Optimizer", "\"t0\"", "asks for bfloat16 with master remainder8 and states float32",
               kThereAre, "onepass/storage/formats.hpp",
               "Format<BFloat16Remainder8, BFloat16, Float32, Master::remainder8, States::float32>"}));
}

TEST(BadFormat, MessageNamesNoLineIfThereIsNoCodec) {
  const FormatModel model = model_of(DType::float16);
  EXPECT_TRUE(
      refused([&] { Optimizer(SGD{}, model.parameters(), {.storage = {.master = Master::split}}); },
              {"float16 with master split and states float32", kThereAre, "Nothing splits a float16"}));
}

TEST(BadFormat, StorageForSixteenBitsIsRefusedIfNoParameterHasThem) {
  const FormatModel model = model_of(DType::float32);
  for (const Storage& storage : {Storage{.master = Master::split}, Storage{.states = States::bfloat16},
                                 Storage{.master = Master::remainder8, .states = States::quantized8}}) {
    EXPECT_TRUE(
        refused([&] { Optimizer(AdamW{}, model.parameters(), {.storage = storage}); },
                {"Optimizer", "storage asks for master", "all parameters are of float32", kThereAre}));
  }
  EXPECT_TRUE(refused(
      [&] {
        Optimizer(SGD{}, model.parameters(),
                  {.storage = {.master = Master::none, .states = States::bfloat16}});
      },
      {"master none and states bfloat16"}));
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
