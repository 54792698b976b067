// set_memory_test.cpp - values, gradients and copies may move between steps.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/formats/callers_memory.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class SetMemory : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Formats, SetMemory, testing::ValuesIn(all_format_cases()), by_name);

const std::vector<std::int64_t> kSizes{100, 0, 33, 1100, 5003};

Optimizer optimizer_of(const FormatCase& format, const std::vector<Parameter>& parameters, bool accumulates) {
  return {AdamW{},
          parameters,
          {.storage = format.low(),
           .float32_storage = format.wide(),
           .seed = 3,
           .ema = EMA{},
           .accumulates_gradients = accumulates}};
}

/// The parameters of a model; those of float32 also have copies.
std::vector<Parameter> with_copies(const FormatModel& model, CallersMemory& memory) {
  std::vector<Parameter> parameters = model.parameters();
  for (Parameter& one : parameters) {
    if (one.value.dtype == DType::float32) one.copy = memory.give(DType::bfloat16, one.value.numel);
  }
  return parameters;
}

void expect_equal(const std::vector<Parameter>& wanted, const std::vector<Parameter>& actual) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(bytes_of(wanted[i].value), bytes_of(actual[i].value)) << i;
    EXPECT_EQ(bytes_of(wanted[i].copy), bytes_of(actual[i].copy)) << i;
  }
}

void expect_equal(const StateDict& wanted, const StateDict& actual) {
  ASSERT_EQ(wanted.parameters.size(), actual.parameters.size());
  for (std::size_t i = 0; i < wanted.parameters.size(); ++i) {
    EXPECT_EQ(wanted.parameters[i].step, actual.parameters[i].step);
    for (std::size_t s = 0; s < wanted.parameters[i].states.size(); ++s) {
      EXPECT_EQ(wanted.parameters[i].states[s].bytes, actual.parameters[i].states[s].bytes);
    }
  }
}

TEST_P(SetMemory, LeavesTheBitsOfParametersThatStay) {
  for (const bool accumulates : {false, true}) {
    SCOPED_TRACE(accumulates);
    const FormatModel here(GetParam(), Device::cpu(), kSizes), there(GetParam(), Device::cpu(), kSizes);
    CallersMemory memory(Device::cpu());
    const std::vector<Parameter> staying = with_copies(here, memory);
    std::vector<Parameter> moving = with_copies(there, memory);
    Optimizer wanted = optimizer_of(GetParam(), staying, accumulates);
    Optimizer actual = optimizer_of(GetParam(), moving, accumulates);
    for (int step = 1; step <= 4; ++step) {
      if (step == 2) actual.set_memory(moving = memory.move(moving));
      if (step == 3) {
        // Two of them, the later one first.
        moving[3] = memory.move(moving[3]), moving[0] = memory.move(moving[0]);
        actual.set_memory(std::vector<Parameter>{moving[3], moving[0]});
      }
      draw_gradients_of(staying, step);
      draw_gradients_of(moving, step);
      for (Optimizer* const one : {&wanted, &actual}) {
        if (accumulates) one->accumulate();
        one->step();
      }
    }
    expect_equal(staying, moving);
    expect_equal(wanted.state_dict(), actual.state_dict());
    EXPECT_TRUE(memory.intact());
    EXPECT_TRUE(there.intact());
  }
}

TEST_P(SetMemory, TakesGradientsOfAnotherTypeAndNull) {
  const FormatModel model(GetParam(), Device::cpu(), {33, 64});
  CallersMemory memory(Device::cpu());
  std::vector<Parameter> parameters = model.parameters();
  Optimizer optimizer = optimizer_of(GetParam(), parameters, false);
  model.draw_finite(1);
  optimizer.step();
  parameters[0].grad = memory.give(DType::float32, 33);
  parameters[1].grad = {};
  optimizer.set_memory(parameters);
  draw_gradients_of(parameters, 2);
  optimizer.step();
  EXPECT_EQ(optimizer.step_count("t0"), 2);
  EXPECT_EQ(optimizer.step_count("t1"), 1);

  const FormatModel same(GetParam(), Device::cpu(), {33, 64});
  std::vector<Parameter> others = same.parameters();
  Optimizer wanted = optimizer_of(GetParam(), others, false);
  same.draw_finite(1);
  wanted.step();
  others[0].grad = memory.give(DType::float32, 33);
  others[1].grad = {};
  wanted.set_gradients(std::vector<Tensor>{others[0].grad, Tensor{}});
  draw_gradients_of(others, 2);
  wanted.step();
  expect_equal(others, parameters);
}

class SetMemoryRefuses : public testing::Test {
 protected:
  SetMemoryRefuses() { draw_gradients_of(parameters_, 1); }
  ~SetMemoryRefuses() override {
    optimizer_.step();
    EXPECT_EQ(optimizer_.step_count("t1"), 1);
    EXPECT_TRUE(memory_.intact());
  }

  /// Succeeds if set_memory() refuses the parameters with these words.
  template <class Change>
  testing::AssertionResult refuses(Change change, std::initializer_list<std::string> words) {
    std::vector<Parameter> moved = memory_.move(model_.parameters());
    change(moved);
    const auto refusal = refused([&] { optimizer_.set_memory(moved); }, words);
    // The old memory is still the optimizer's.
    draw_gradients_of(parameters_, 1);
    return refusal;
  }

  FormatModel model_{format_cases().front(), Device::cpu(), {64, 33, 7}};
  CallersMemory memory_{Device::cpu()};
  std::vector<Parameter> parameters_ = model_.parameters();
  Optimizer optimizer_{AdamW{}, parameters_};
};

TEST_F(SetMemoryRefuses, OtherParametersThanThoseThatAreRegistered) {
  using Moved = std::vector<Parameter>;
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].name = "w"; }, {"there is no parameter \"w\""}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].name = "t0"; }, {"set_memory", "\"t0\" twice"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].value.numel = 32; }, {"\"t1\"", "number of elements"}));
  EXPECT_TRUE(
      refuses([](Moved& moved) { moved[1].value.dtype = DType::bfloat16; }, {"\"t1\"", "another dtype"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].group = 1; }, {"\"t1\"", "another group"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].first = 32; }, {"\"t1\"", "another first element"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].run = 11, moved[1].pitch = 12; },
                      {"\"t1\"", "another run or pitch"}));
  EXPECT_TRUE(refuses([&](Moved& moved) { moved[1].copy = memory_.give(DType::bfloat16, 33); },
                      {"\"t1\"", "another kind of copy"}));
}

TEST_F(SetMemoryRefuses, WhatRegistrationRefuses) {
  using Moved = std::vector<Parameter>;
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].value.data = nullptr; }, {"value of \"t1\" is null"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].grad.numel = 32; }, {"gradient of \"t1\"", "32 elements"}));
  EXPECT_TRUE(
      refuses([](Moved& moved) { moved[1].value.data = static_cast<std::byte*>(moved[1].value.data) + 2; },
              {"value of \"t1\"", "not aligned"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].value.device = Device::cuda(0); },
                      {"value of \"t1\" is on cuda:0"}));
  EXPECT_TRUE(refuses([](Moved& moved) { moved[1].grad.data = moved[0].value.data; },
                      {"gradient of \"t1\"", "value of \"t0\"", "overlap"}));
  // Memory of a parameter that does not move.
  EXPECT_TRUE(refuses(
      [&](Moved& moved) {
        moved.erase(moved.begin() + 1, moved.end());
        moved[0].value = parameters_[1].value;
        moved[0].value.numel = 64;
      },
      {"value of \"t0\"", "value of \"t1\"", "overlap"}));
}

TEST(SetMemory, RefusesGradientsThatShareMemoryIfStepsZeroThem) {
  const FormatModel model(format_cases().front(), Device::cpu(), {64, 64});
  std::vector<Parameter> parameters = model.parameters();
  Optimizer optimizer{AdamW{}, parameters};
  parameters[1].grad = parameters[0].grad;
  optimizer.set_memory(parameters);
  optimizer.set_memory(model.parameters());
  optimizer.set_gradient_handling({.zero_grad = true});
  EXPECT_TRUE(refused([&] { optimizer.set_memory(parameters); }, {"zero_grad", "gradient of \"t0\""}));
}

}  // namespace
}  // namespace onepass::test
