// bad_state_dict_test.cpp - a StateDict that does not fit the optimizer is refused, and no part of it is
// loaded.
#include <gtest/gtest.h>

#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class BadStateDict : public testing::Test {
 protected:
  void SetUp() override {
    train(model_, optimizer_, 2);
    // The dict is from another optimizer that is three steps ahead, so any part of it that is loaded shows.
    Model other(shapes_);
    Optimizer optimizer(AdamW{.lr = 0.5}, other.parameters());
    train(other, optimizer, 5, 20);
    dict_ = optimizer.state_dict();
  }

  void expect_refused(std::initializer_list<std::string> words) {
    const Snapshot before = snapshot(model_.parameters(), optimizer_);
    EXPECT_TRUE(refused([&] { optimizer_.load_state_dict(dict_); }, words));
    EXPECT_TRUE(equal_bits(before, snapshot(model_.parameters(), optimizer_)));
    train(model_, optimizer_, 1, 3);
    Model twin(shapes_);
    Optimizer steady(AdamW{}, twin.parameters());
    train(twin, steady, 3);
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model_.parameters(), optimizer_)));
  }

  const std::vector<Shape> shapes_{{.numel = 70}, {.numel = 9}};
  Model model_{shapes_};
  Optimizer optimizer_{AdamW{}, model_.parameters()};
  StateDict dict_;
};

TEST_F(BadStateDict, DictOfAnotherRuleIsRefused) {
  dict_.groups[0].rule = "SGD";
  expect_refused({"AdamW", "SGD"});
}

TEST_F(BadStateDict, MissingParameterIsRefused) {
  dict_.parameters.pop_back();
  expect_refused({"\"t1\""});
}

TEST_F(BadStateDict, ExtraParameterIsRefused) {
  dict_.parameters.push_back(dict_.parameters[0]);
  dict_.parameters.back().name = "extra";
  expect_refused({"\"extra\""});
}

TEST_F(BadStateDict, UnknownParameterIsRefused) {
  dict_.parameters[1].name = "stranger";
  expect_refused({"\"stranger\""});
}

TEST_F(BadStateDict, ParameterThatOccursTwiceIsRefused) {
  dict_.parameters[1] = dict_.parameters[0];
  expect_refused({"\"t0\""});
}

TEST_F(BadStateDict, StateOfAnotherSizeIsRefused) {
  dict_.parameters[1].states[1].bytes.resize(8 * sizeof(float));
  expect_refused({"\"t1\"", "exp_avg_sq"});
}

TEST_F(BadStateDict, MissingStateIsRefused) {
  dict_.parameters[1].states.pop_back();
  expect_refused({"\"t1\""});
}

TEST_F(BadStateDict, ExtraStateIsRefused) {
  dict_.parameters[0].states.push_back(dict_.parameters[0].states[0]);
  dict_.parameters[0].states.back().name = "max_exp_avg_sq";
  expect_refused({"\"t0\""});
}

TEST_F(BadStateDict, UnknownStateIsRefused) {
  dict_.parameters[1].states[0].name = "momentum_buffer";
  expect_refused({"\"t1\"", "exp_avg"});
}

TEST_F(BadStateDict, NegativeStepCountIsRefused) {
  dict_.parameters[1].step = -1;
  expect_refused({"\"t1\"", "-1"});
}

TEST_F(BadStateDict, NegativeCountOfSkippedStepsIsRefused) {
  dict_.skipped_steps = -2;
  expect_refused({"-2"});
}

}  // namespace
}  // namespace onepass::test
