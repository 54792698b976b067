// part_of_state_dict_test.cpp - a StateDict of a part of the model, or of a larger model, is loaded if asked
// for.
#include <gtest/gtest.h>

#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr LoadOptions kKeep{.missing = Missing::keep};
constexpr LoadOptions kIgnore{.unexpected = Unexpected::ignore};
constexpr LoadOptions kBoth{.missing = Missing::keep, .unexpected = Unexpected::ignore};

/// The entries of a snapshot that belong to one parameter.
Snapshot only(const Snapshot& all, const std::string& name) {
  Snapshot part;
  for (const auto& [key, values] : all) {
    if (key == name || key.starts_with(name + ".")) part.emplace(key, values);
  }
  EXPECT_FALSE(part.empty()) << name;
  return part;
}

class PartOfStateDict : public testing::Test {
 protected:
  void SetUp() override {
    train(model_, optimizer_, 2);
    train(source_, trained_, 5, 20);
    dict_ = trained_.state_dict();
    before_ = taken();
  }
  [[nodiscard]] Snapshot taken() { return snapshot(model_.parameters(), optimizer_); }
  void expect_kept(const std::string& name) {
    EXPECT_TRUE(equal_bits(only(before_, name), only(taken(), name)));
  }
  /// The states, but not the value, which no dict has, are those of the dict.
  void expect_loaded(const std::string& name) {
    Snapshot wanted = only(snapshot(source_.parameters(), trained_), name), is = only(taken(), name);
    wanted.erase(name);
    is.erase(name);
    EXPECT_TRUE(equal_bits(wanted, is));
  }
  void expect_refused(const LoadOptions& options, std::initializer_list<std::string> words) {
    EXPECT_TRUE(refused([&] { (void)optimizer_.load_state_dict(dict_, options); }, words));
    EXPECT_TRUE(equal_bits(before_, taken()));
    EXPECT_EQ(optimizer_.steps(), 2);
    EXPECT_EQ(optimizer_.rule<AdamW>().lr, AdamW{}.lr);
  }

  const std::vector<Shape> shapes_{{.numel = 70}, {.numel = 9}, {.numel = 300}};
  Model model_{shapes_}, source_{shapes_};
  Optimizer optimizer_{AdamW{}, model_.parameters()}, trained_{AdamW{.lr = 0.5}, source_.parameters()};
  StateDict dict_;
  Snapshot before_;
};

TEST_F(PartOfStateDict, WithoutAParameterKeepsItsStatesAndItsCount) {
  dict_.parameters.erase(dict_.parameters.begin() + 1);
  const LoadedDict loaded = optimizer_.load_state_dict(dict_, {.missing = Missing::keep});
  EXPECT_EQ(loaded.missing, std::vector<std::string>{"t1"});
  EXPECT_TRUE(loaded.unexpected.empty());
  expect_loaded("t0");
  expect_kept("t1");
  expect_loaded("t2");
  EXPECT_EQ(optimizer_.step_count("t1"), 2);
  EXPECT_EQ(optimizer_.step_count("t2"), 5);
  EXPECT_EQ(optimizer_.steps(), 5);
  EXPECT_EQ(optimizer_.rule<AdamW>().lr, 0.5);
}

TEST_F(PartOfStateDict, OfALargerModelLeavesOutWhatTheOptimizerHasNot) {
  for (const char* const name : {"head", "bias"}) {
    dict_.parameters.insert(dict_.parameters.begin() + 1, dict_.parameters[0]);
    dict_.parameters[1].name = name;
  }
  const LoadedDict loaded = optimizer_.load_state_dict(dict_, kIgnore);
  EXPECT_TRUE(loaded.missing.empty());
  EXPECT_EQ(loaded.unexpected, (std::vector<std::string>{"bias", "head"}));
  for (const char* const name : {"t0", "t1", "t2"}) expect_loaded(name);
}

TEST_F(PartOfStateDict, OfAnotherHeadTellsBothSides) {
  dict_.parameters[0].name = "head";
  dict_.parameters[2].name = "old";
  const LoadedDict loaded = optimizer_.load_state_dict(dict_, kBoth);
  EXPECT_EQ(loaded.missing, (std::vector<std::string>{"t0", "t2"}));
  EXPECT_EQ(loaded.unexpected, (std::vector<std::string>{"head", "old"}));
  expect_kept("t0");
  expect_loaded("t1");
  expect_kept("t2");
}

TEST_F(PartOfStateDict, OfTheWholeModelLoadsAsTheStrictOneDoes) {
  EXPECT_EQ(optimizer_.load_state_dict(dict_, kBoth).missing.size(), 0u);
  for (std::size_t i = 0; i < model_.size(); ++i) model_.value(i).write(source_.value(i).host());
  train(model_, optimizer_, 2, 25);
  train(source_, trained_, 2, 25);
  EXPECT_TRUE(equal_bits(snapshot(source_.parameters(), trained_), taken()));
}

TEST_F(PartOfStateDict, WithoutParametersLoadsTheRest) {
  dict_.parameters.clear();
  EXPECT_EQ(optimizer_.load_state_dict(dict_, kKeep).missing, (std::vector<std::string>{"t0", "t1", "t2"}));
  for (const char* const name : {"t0", "t1", "t2"}) expect_kept(name);
  EXPECT_EQ(optimizer_.steps(), 5);
}

TEST_F(PartOfStateDict, IsRefusedUnlessTheOptionOfItsSideAllowsIt) {
  dict_.parameters[1].name = "head";
  expect_refused({}, {"\"head\"", "no such parameter"});
  expect_refused(kKeep, {"\"head\"", "no such parameter"});
  expect_refused(kIgnore, {"lacks \"t1\""});
}

TEST_F(PartOfStateDict, WithWrongSizesIsRefused) {
  dict_.parameters.erase(dict_.parameters.begin());
  dict_.parameters[0].states[1].bytes.resize(8);
  expect_refused(kBoth, {"exp_avg_sq of \"t1\"", "8 bytes", "36"});
}

TEST_F(PartOfStateDict, WithANameTwiceIsRefusedEvenIfItIsLeftOut) {
  for (SavedParameter& saved : dict_.parameters) saved.name = "head";
  expect_refused(kBoth, {"\"head\"", "twice"});
}

TEST(PartOfAccumulation, IsRefusedIfTheOtherSumsHaveAnotherNumberOfMicroBatches) {
  Model model(std::vector<Shape>{{.numel = 70}, {.numel = 9}});
  Optimizer optimizer{SGD{}, model.parameters(), {.accumulates_gradients = true}};
  model.draw_finite_gradients(1);
  optimizer.accumulate();
  StateDict dict = optimizer.state_dict();
  dict.parameters.pop_back();
  optimizer.accumulate();
  EXPECT_TRUE(
      refused([&] { (void)optimizer.load_state_dict(dict, kKeep); }, {"\"t1\"", "micro-batches", "1", "2"}));
  EXPECT_EQ(optimizer.state_dict().micro_batches, 2);
  dict.micro_batches = 2;
  (void)optimizer.load_state_dict(dict, kKeep);
  EXPECT_EQ(optimizer.state_dict().parameters[0].accumulated, 1);
  EXPECT_EQ(optimizer.state_dict().parameters[1].accumulated, 2);
}

}  // namespace
}  // namespace onepass::test
