// dropout_bad_input_test.cpp - dropout and RandomState refuse invalid input and then write nothing.
#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "onepass/regularizers/dropout.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class DropoutBadInput : public testing::Test {
 protected:
  void expect_refused(const Dropout& dropout, const DropoutCall& call,
                      std::initializer_list<std::string> words) {
    EXPECT_TRUE(refused([&] { dropout_forward(dropout, call, state_); }, words));
    EXPECT_TRUE(refused([&] { dropout_backward(dropout, call, state_); }, {"dropout_backward"}));
    EXPECT_TRUE(equal_bits(std::vector<float>(16, 5.0f), memory_));
  }

  [[nodiscard]] Tensor part(std::size_t begin, std::int64_t numel) { return {memory_.data() + begin, numel}; }

  RandomState state_{Device::cpu(), {.seed = 1}};
  std::vector<float> memory_ = std::vector<float>(16, 5.0f);
};

TEST_F(DropoutBadInput, RefusesProbabilitiesOutsideZeroToOne) {
  const DropoutCall call{.out = part(0, 4), .in = part(4, 4)};
  expect_refused({-0.1}, call, {"dropout_forward", "Dropout.p", "-0.1"});
  expect_refused({1.0000001}, call, {"Dropout.p", "1.0000001"});
  expect_refused({std::numeric_limits<double>::quiet_NaN()}, call, {"Dropout.p", "nan"});
}

TEST_F(DropoutBadInput, RefusesTensorsOfDifferentOrNegativeSizes) {
  expect_refused({0.5}, {.out = part(0, 3), .in = part(4, 4)}, {"out", "3 elements", "4"});
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .residual = part(8, 5)},
                 {"residual", "5 elements", "4"});
  expect_refused({0.5}, {.out = part(0, -4), .in = part(4, -4)}, {"in", "-4"});
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .residual = {memory_.data(), 0}},
                 {"residual", "0 elements", "4"});
}

TEST_F(DropoutBadInput, RefusesNullAndMisalignedMemoryAndMissingDevices) {
  expect_refused({0.5}, {.out = Tensor{nullptr, 4}, .in = part(4, 4)}, {"out", "null"});
  expect_refused({0.5}, {.out = part(0, 4), .in = Tensor{nullptr, 4}}, {"in", "null"});
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .residual = Tensor{nullptr, 4}},
                 {"residual", "null"});
  Tensor crooked = part(4, 2);
  crooked.data = static_cast<char*>(crooked.data) + 2;
  expect_refused({0.5}, {.out = part(0, 2), .in = crooked}, {"in", "aligned"});
  const DropoutCall elsewhere{.out = part(0, 4), .in = Tensor{memory_.data() + 4, 4, Device::cuda(99)}};
  EXPECT_TRUE(refused([&] { dropout_forward({0.5}, elsewhere, state_); }, {"cuda:99"}));
}

TEST_F(DropoutBadInput, RefusesPartialOverlapsOfTheOutput) {
  expect_refused({0.5}, {.out = part(0, 4), .in = part(3, 4)}, {"out", "overlaps in"});
  expect_refused({0.5}, {.out = part(3, 4), .in = part(0, 4)}, {"out", "overlaps in"});
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .residual = part(1, 4)},
                 {"out", "overlaps residual"});
  // Adjacent tensors and inputs that overlap each other are allowed.
  EXPECT_NO_THROW(
      dropout_forward({0.5}, {.out = part(0, 4), .in = part(4, 4), .residual = part(6, 4)}, state_));
}

TEST_F(DropoutBadInput, RefusesOffsetsOutsideTheLargestTensor) {
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .first = -1}, {"first", "-1"});
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4), .first = (1ll << 50) - 3}, {"first", "2^50"});
}

TEST_F(DropoutBadInput, RefusesAStateThatWasMovedFrom) {
  const RandomState taken = std::move(state_);
  expect_refused({0.5}, {.out = part(0, 4), .in = part(4, 4)}, {"RandomState", "moved from"});
}

TEST_F(DropoutBadInput, AcceptsEmptyTensors) {
  EXPECT_NO_THROW(dropout_forward({0.5}, {}, state_));
  EXPECT_NO_THROW(
      dropout_forward({1.0}, {.out = part(3, 0), .in = part(3, 0), .residual = part(3, 0)}, state_));
}

TEST(RandomState, CountsStepsAndRestoresASavedPosition) {
  RandomState state(Device::cpu(), {.seed = 7, .offset = 3});
  EXPECT_EQ(state.saved(), (RandomPosition{7, 3}));
  state.advance();
  state.advance();
  EXPECT_EQ(state.saved(), (RandomPosition{7, 5}));
  const RandomPosition saved = state.saved();
  state.advance();
  state.restore(saved);
  EXPECT_EQ(state.saved(), saved);
  EXPECT_EQ(*state.data(), saved);
  RandomState other(Device::cpu(), {});
  other.restore(state.saved());
  EXPECT_EQ(other.saved(), saved);
}

TEST(RandomState, KeyIsTheSeedForTheFirstFourBillionSteps) {
  EXPECT_EQ((RandomPosition{7, 0xffffffff}.key()), 7u);
  EXPECT_EQ((RandomPosition{7, 0xffffffff}.step()), 0xffffffffu);
  EXPECT_EQ((RandomPosition{7, 1ll << 32}.key()), 7u + 0x9E3779B97F4A7C15u);
  EXPECT_EQ((RandomPosition{7, 1ll << 32}.step()), 0u);
}

TEST(RandomState, RefusesANegativeOffsetAndAMissingDevice) {
  EXPECT_TRUE(refused([] { RandomState(Device::cpu(), {.seed = 1, .offset = -1}); }, {"RandomState", "-1"}));
  const std::int64_t far = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(
      refused([&] { RandomState(Device::cpu(), {.seed = 1, .offset = far}); }, {"RandomState", "2^53"}));
  EXPECT_TRUE(refused([] { RandomState(Device::cuda(99), {}); }, {"cuda:99"}));
  RandomState state(Device::cpu(), {.seed = 1, .offset = 2});
  EXPECT_TRUE(refused([&] { state.restore({.seed = 9, .offset = -5}); }, {"RandomState", "-5"}));
  EXPECT_EQ(state.saved(), (RandomPosition{1, 2}));
}

}  // namespace
}  // namespace onepass::test
