// bad_state_dict_test.cpp - a StateDict that does not fit the optimizer is refused, and no part of it is
// loaded.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

  void expect_refused_and_unchanged(std::initializer_list<std::string> words) {
    const Snapshot before = snapshot(model_.parameters(), optimizer_);
    EXPECT_TRUE(refused([&] { optimizer_.load_state_dict(dict_); }, words));
    EXPECT_TRUE(equal_bits(before, snapshot(model_.parameters(), optimizer_)));
  }

  void expect_refused(std::initializer_list<std::string> words) {
    expect_refused_and_unchanged(words);
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

TEST_F(BadStateDict, CountsAboveTwoToTheFiftyThreeAreRefused) {
  const StateDict good = dict_;
  constexpr std::int64_t kTooMany = (std::int64_t{1} << 53) + 1;
  for (const std::int64_t bad : {kTooMany, std::numeric_limits<std::int64_t>::max()}) {
    const auto refuses = [&](std::int64_t& count, const std::string& what) {
      count = bad;
      expect_refused_and_unchanged({std::to_string(bad), what, "2^53"});
      dict_ = good;
    };
    refuses(dict_.steps, "steps");
    refuses(dict_.skipped_steps, "skipped steps");
    refuses(dict_.micro_batches, "micro-batches");
    refuses(dict_.growth_tracker, "steps since the loss scale changed");
    refuses(dict_.parameters[0].step, "\"t0\"");
  }
}

TEST_F(BadStateDict, LargestCountsAreLoadedAndCountOn) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  dict_.steps = dict_.skipped_steps = dict_.parameters[0].step = kMost;
  optimizer_.load_state_dict(dict_);
  train_finite(model_, optimizer_, 1);
  EXPECT_EQ(optimizer_.steps(), kMost + 1);
  EXPECT_EQ(optimizer_.step_count("t0"), kMost + 1);
  EXPECT_EQ(optimizer_.skipped_steps(), kMost);
  EXPECT_TRUE(std::isfinite(model_.value(0).host()[0]));
}

TEST_F(BadStateDict, ScheduleThatTheSavedRateOverflowsWithIsRefused) {
  dict_.groups[0].hyperparameters[0].value = "1e30";
  dict_.schedules[0] =
      LambdaLR{.lr_lambda = [](std::int64_t step) { return step == 3 ? 1e9 : 1; }, .steps = 5};
  expect_refused({"schedule", "step 3", "AdamW", "coefficient"});
}

}  // namespace
}  // namespace onepass::test
