// structs_test.cpp - structs of older and newer programs, and the shape of a parameter.
#include <gtest/gtest.h>

#include <cstring>
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

}  // namespace
}  // namespace onepass::test
