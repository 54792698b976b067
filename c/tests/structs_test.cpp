// structs_test.cpp - structs of older and newer programs, and the shape of a parameter.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

/// A struct as a newer program has it: with members at the end that this library does not know.
template <class Struct>
struct Newer {
  Struct known{};
  std::int64_t added = 0;
};

/// Returns the error of making an optimizer with these options; "" if it is made.
std::string refusal_of(const onepass_options* options) {
  Model model;
  const auto parameters = model.tensors();
  const onepass_group group = group_of("SGD");
  onepass_optimizer* made = nullptr;
  const int status =
      onepass_create(&group, 1, parameters.data(), static_cast<std::int64_t>(parameters.size()), ONEPASS_CPU,
                     options, &made);
  const Handle owner(made);
  return refusal(status);
}

TEST(CStructs, ASizeThatWasNotSetIsRefused) {
  onepass_options options{};
  const std::string own = std::to_string(sizeof options);
  EXPECT_EQ(refusal_of(&options),
            "onepass: onepass_options.size is 0; it must be sizeof(onepass_options), which is " + own);
  options.size = offsetof(onepass_options, lookahead) - 4;
  EXPECT_NE(refusal_of(&options), "");
  options.size = offsetof(onepass_options, lookahead);  // of a program that knows no Lookahead
  EXPECT_EQ(refusal_of(&options), "");
  options.size = 1u << 20;
  EXPECT_NE(refusal_of(&options), "");
  options.size = sizeof options;
  EXPECT_EQ(refusal_of(&options), "");
}

TEST(CStructs, NewerStructsAreTakenIfTheySetNoUnknownMember) {
  Newer<onepass_options> options;
  options.known.size = sizeof options;
  EXPECT_EQ(refusal_of(&options.known), "");
  options.added = 1;
  EXPECT_EQ(refusal_of(&options.known),
            "onepass: onepass_options sets a member that this version of the library does not have");
}

TEST(CStructs, ArraysOfNewerStructsAreReadWithTheirOwnSize) {
  Model model, expected;
  std::vector<Newer<onepass_parameter>> newer;
  for (const onepass_parameter& one : model.tensors()) {
    newer.push_back({one, 0});
    newer.back().known.size = sizeof(Newer<onepass_parameter>);
  }
  const onepass_group group = group_of("SGD");
  onepass_optimizer* made = nullptr;
  expect_ok(onepass_create(&group, 1, &newer[0].known, static_cast<std::int64_t>(newer.size()), ONEPASS_CPU,
                           nullptr, &made));
  const Handle owner(made), other = create({group}, expected.tensors());
  model.set_gradients(1), expected.set_gradients(1);
  expect_ok(onepass_step(made, nullptr));
  expect_ok(onepass_step(other.get(), nullptr));
  EXPECT_EQ(model.bits(), expected.bits());

  newer[2].known.size = sizeof(onepass_parameter);
  EXPECT_EQ(refusal(onepass_create(&group, 1, &newer[0].known, 4, ONEPASS_CPU, nullptr, &made)),
            "onepass: onepass_parameter.size is " + std::to_string(sizeof(onepass_parameter)) +
                "; it must be that of the first one, " + std::to_string(sizeof(Newer<onepass_parameter>)));
}

TEST(CStructs, ResultsAreWrittenAsFarAsTheCallerHasMembers) {
  ScheduleHandle schedule;
  expect_ok(onepass_schedule_create("ConstantLR", nullptr, 0, &schedule));
  Newer<onepass_rates> rates;
  rates.known.size = sizeof rates;
  rates.added = 77;
  expect_ok(onepass_schedule_rates(schedule, 3.0, 9, &rates.known));
  EXPECT_EQ(rates.known.lr, 3.0);
  EXPECT_EQ(rates.known.size, sizeof rates);
  EXPECT_EQ(rates.added, 77);
  rates.known.size = 3;
  EXPECT_NE(refusal(onepass_schedule_rates(schedule, 3.0, 9, &rates.known)), "");
}

/// Returns the error of a parameter of 70 elements with this shape.
std::string refusal_of(const std::vector<std::int64_t>& shape, std::int64_t blocks, std::int64_t first = 0) {
  std::vector<float> value(70);
  const onepass_parameter parameter{.size = sizeof parameter,
                                    .name = "w",
                                    .value = value.data(),
                                    .numel = 70,
                                    .first = first,
                                    .shape = shape.data(),
                                    .dim_count = static_cast<std::int64_t>(shape.size()),
                                    .blocks = blocks};
  const onepass_group group = group_of("SGD");
  onepass_optimizer* made = nullptr;
  const int status = onepass_create(&group, 1, &parameter, 1, ONEPASS_CPU, nullptr, &made);
  const Handle owner(made);
  return refusal(status);
}

TEST(CStructs, AShapeMustHaveTheElementsAndTheBlocks) {
  EXPECT_EQ(refusal_of({7, 10}, 0), "");
  EXPECT_EQ(refusal_of({14, 5}, 2), "");
  EXPECT_EQ(refusal_of({64, 5}, 2, 250), "");  // a shard of a larger tensor
  EXPECT_EQ(refusal_of({64, 5}, 2, 251),
            "onepass: the shape of \"w\" has 320 elements, but the parameter has 70 from element 251");
  EXPECT_EQ(refusal_of({7, 9}, 0),
            "onepass: the shape of \"w\" has 63 elements, but the parameter has 70 from element 0");
  EXPECT_EQ(refusal_of({7, 10}, 2),
            "onepass: blocks of \"w\" is 2; it must be a divisor of the shape's first dimension");
  EXPECT_EQ(refusal_of({7, 10}, -1), "onepass: blocks of \"w\" is -1; it must be 0 or more");
  EXPECT_EQ(refusal_of({7, -10}, 0),
            "onepass: the shape of \"w\" has a negative dimension, or more elements than 63 bits count");
  EXPECT_EQ(refusal_of({std::int64_t{1} << 40, std::int64_t{1} << 40}, 0),
            "onepass: the shape of \"w\" has a negative dimension, or more elements than 63 bits count");
}

TEST(CStructs, TheLibrarySaysItsVersion) {
  EXPECT_EQ(onepass_abi(), ONEPASS_ABI);
  EXPECT_EQ(std::strchr(onepass_version(), '.') != nullptr, true) << onepass_version();
}

using Shape = std::vector<std::int64_t>;

/// A parameter of 70 elements and its gradient.
struct Weight {
  std::vector<float> value, grad;

  Weight() {
    for (int i = 0; i < 70; ++i) {
      value.push_back(0.01f * static_cast<float>(i % 13) - 0.05f);
      grad.push_back(0.02f * static_cast<float>(i % 11 - 5));
    }
  }

  /// The shape must live as long as the parameter.
  onepass_parameter parameter(const Shape& shape, std::int64_t blocks = 0) {
    return {.size = sizeof(onepass_parameter),
            .name = "w",
            .value = value.data(),
            .grad = grad.data(),
            .numel = 70,
            .shape = shape.data(),
            .dim_count = static_cast<std::int64_t>(shape.size()),
            .blocks = blocks};
  }
};

/// The states that a rule keeps, and the number of their elements.
std::map<std::string, std::int64_t> states_of(const char* rule, const Shape& shape, std::int64_t blocks = 0) {
  Weight weight;
  const Handle optimizer = create({group_of(rule)}, {weight.parameter(shape, blocks)});
  std::map<std::string, std::int64_t> found;
  std::int64_t count = 0;
  expect_ok(onepass_state_count(optimizer.get(), "w", &count));
  for (std::int64_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    onepass_tensor state{.size = sizeof state};
    expect_ok(onepass_state_name(optimizer.get(), "w", i, &name));
    expect_ok(onepass_state(optimizer.get(), "w", name, &state));
    found[name] = state.numel;
  }
  return found;
}

using States = std::map<std::string, std::int64_t>;

TEST(CShapes, MatricesHaveStatesOfTheirRowsAndColumns) {
  EXPECT_EQ(states_of("Adafactor", {7, 10}), (States{{"row_var", 7}, {"col_var", 10}}));
  EXPECT_EQ(states_of("Adafactor", {2, 7, 5}), (States{{"row_var", 14}, {"col_var", 10}}));
  EXPECT_EQ(states_of("AdamMini", {7, 10}), (States{{"exp_avg", 70}, {"vmean", 7}}));
  EXPECT_EQ(states_of("CAME", {7, 10}), (States{{"exp_avg", 70},
                                                {"exp_avg_sq_row", 7},
                                                {"exp_avg_sq_col", 10},
                                                {"exp_avg_res_row", 7},
                                                {"exp_avg_res_col", 10}}));
  EXPECT_EQ(states_of("Adam", {7, 10}), (States{{"exp_avg", 70}, {"exp_avg_sq", 70}}));
}

TEST(CShapes, RowBlocksOfAMatrixAreMatrices) {
  EXPECT_EQ(states_of("Adafactor", {14, 5}, 2), (States{{"row_var", 14}, {"col_var", 10}}));
  EXPECT_EQ(states_of("Adafactor", {14, 5}, 1), (States{{"row_var", 14}, {"col_var", 5}}));
  EXPECT_EQ(states_of("Adafactor", {2, 7, 5}, 2), (States{{"row_var", 14}, {"col_var", 10}}));
}

TEST(CShapes, VectorsHaveAStateOfEachElement) {
  EXPECT_EQ(states_of("Adafactor", {}), (States{{"variance", 70}}));
  EXPECT_EQ(states_of("Adafactor", {70}, 7), (States{{"variance", 70}}));
}

TEST(CShapes, StepsAreThoseOfTheLibrary) {
  for (const char* const rule : {"Adafactor", "CAME", "AdamMini"}) {
    Weight ours, expected;
    const Handle handle = create({group_of(rule)}, {ours.parameter({14, 5}, 2)});
    Optimizer optimizer{
        Rule::named(rule),
        std::vector<Parameter>{
            {.name = "w", .value = expected.value, .grad = expected.grad, .shape = {2, 7, 5}}}};
    for (int step = 0; step < 3; ++step) {
      expect_ok(onepass_step(handle.get(), nullptr));
      optimizer.step();
    }
    EXPECT_EQ(ours.value, expected.value) << rule;
  }
}

/// Returns the error of an optimizer with this parameter; expects the same of the memory that it would take.
std::string refusal_of(const char* rule, const onepass_parameter& parameter) {
  const onepass_group group = group_of(rule);
  onepass_optimizer* made = nullptr;
  const std::string error = refusal(onepass_create(&group, 1, &parameter, 1, ONEPASS_CPU, nullptr, &made));
  const Handle owner(made);
  StreamsHandle streams;
  EXPECT_EQ(refusal(onepass_required_memory(&group, 1, &parameter, 1, ONEPASS_CPU, nullptr, &streams)),
            error);
  return error;
}

TEST(CShapes, CountsAndPointersThatContradictEachOtherAreRefused) {
  Weight weight;
  const Shape shape{7, 10};
  onepass_parameter parameter = weight.parameter(shape);
  parameter.dim_count = -1;
  EXPECT_EQ(refusal_of("Adafactor", parameter), "onepass: dim_count is -1; it must be 0 or more");
  parameter.dim_count = 2;
  parameter.shape = nullptr;
  EXPECT_EQ(refusal_of("Adafactor", parameter), "onepass: shape is null");
  parameter.dim_count = 0;
  EXPECT_EQ(refusal_of("Adafactor", parameter), "");
  parameter.blocks = 2;
  EXPECT_EQ(refusal_of("Adafactor", parameter),
            "onepass: blocks of \"w\" is 2; it must be 0 or 1 where no shape is given");
}

TEST(CShapes, ShardsOfMatricesAreRefusedByTheRulesThatReadShapes) {
  Weight weight;
  const Shape larger{14, 10}, vector{140};
  onepass_parameter shard = weight.parameter(larger);
  EXPECT_EQ(
      refusal_of("Adafactor", shard),
      "onepass: Optimizer: \"w\" is a shard with the elements from 0 to 70, but Adafactor takes sums over "
      "whole rows and columns; give it the whole tensor");
  EXPECT_EQ(refusal_of("AdamW", shard), "");
  shard.first = 70;
  EXPECT_NE(refusal_of("CAME", shard).find("a shard with the elements from 70 to 140"), std::string::npos);
  shard.first = 0, shard.run = 5, shard.pitch = 10;
  EXPECT_NE(refusal_of("AdamMini", shard).find("in runs of 5 that begin 10 apart"), std::string::npos);
  onepass_parameter of_vector = weight.parameter(vector);
  for (const char* const rule : {"Adafactor", "CAME", "AdamMini"}) EXPECT_EQ(refusal_of(rule, of_vector), "");
}

}  // namespace
}  // namespace onepass::test
