// counters_test.cpp - step counters in the caller's memory: steps read them, advance them, and leave out what
// they cannot count.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kFull = 0x1p24f;
constexpr std::int64_t kMost = std::int64_t{1} << 53;

/// Two parameters that a float32 and an int64 count, one that the optimizer counts, and one that a float32
/// counts.
class Counted {
 public:
  explicit Counted(Contents contents = Contents::first) : contents_(contents) {}

  [[nodiscard]] std::vector<Parameter> parameters() {
    std::vector<Parameter> parameters = model.parameters();
    parameters[0].streams = {{"step", Tensor(&real, 1), contents_}};
    parameters[1].streams = {{"step", Tensor(&whole, DType::int64, 1), contents_}};
    parameters[3].streams = {{"step", Tensor(&last, 1), contents_}};
    return parameters;
  }

  float real = 77.0f, last = 77.0f;
  std::int64_t whole = 77;
  Model model{{{.numel = 70}, {.numel = 33}, {.numel = 40}, {.numel = 40}}};

 private:
  Contents contents_;
};

/// What an optimizer of the same parameters does if these counts are loaded before each step.
Snapshot with_loaded_counts(const RuleCase& rule, const std::vector<std::vector<std::int64_t>>& counts) {
  Counted plain;
  Optimizer optimizer = rule.make(plain.model.parameters());
  for (std::size_t step = 0; step < counts.size(); ++step) {
    StateDict dict = optimizer.state_dict();
    for (std::size_t i = 0; i < 4; ++i) dict.parameters[i].step = counts[step][i];
    optimizer.load_state_dict(dict);
    train_finite(plain.model, optimizer, 1, static_cast<std::int64_t>(step) + 1);
  }
  return snapshot(plain.model.parameters(), optimizer);
}

TEST(Counters, BeginAtZeroAndCountTheStepsOfTheirParameter) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Counted counted;
    Model plain{{{.numel = 70}, {.numel = 33}, {.numel = 40}, {.numel = 40}}};
    Optimizer actual = rule.make(counted.parameters()), wanted = rule.make(plain.parameters());
    EXPECT_EQ(counted.real, 0.0f);
    EXPECT_EQ(counted.whole, 0);
    train_finite(counted.model, actual, 3);
    train_finite(plain, wanted, 3);
    EXPECT_EQ(counted.real, 3.0f);
    EXPECT_EQ(counted.whole, 3);
    EXPECT_EQ(counted.last, 3.0f);
    EXPECT_TRUE(
        equal_bits(snapshot(plain.parameters(), wanted), snapshot(counted.model.parameters(), actual)));
    actual.check();
  }
}

TEST(Counters, EditsCountFromTheNextStepOn) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Counted counted;
    Optimizer optimizer = rule.make(counted.parameters());
    train_finite(counted.model, optimizer, 1, 1);
    counted.real = 1000.0f;
    counted.whole = 5'000'000'000;
    EXPECT_EQ(optimizer.state_dict().parameters[0].step, 1000);
    EXPECT_EQ(optimizer.step_count("t1"), 5'000'000'000);
    train_finite(counted.model, optimizer, 1, 2);
    EXPECT_EQ(counted.real, 1001.0f);
    EXPECT_EQ(counted.whole, 5'000'000'001);
    EXPECT_EQ(optimizer.step_count("t0"), 1001);
    EXPECT_EQ(optimizer.step_count("t1"), 5'000'000'001);
    EXPECT_EQ(optimizer.state_dict().parameters[0].step, 1001);
    counted.last = 0.0f;
    train_finite(counted.model, optimizer, 1, 3);
    EXPECT_EQ(counted.last, 1.0f);
    EXPECT_TRUE(equal_bits(
        with_loaded_counts(rule, {{0, 0, 0, 0}, {1000, 5'000'000'000, 1, 1}, {1001, 5'000'000'001, 2, 0}}),
        snapshot(counted.model.parameters(), optimizer)));
  }
}

TEST(Counters, WithContentsGoOn) {
  Counted counted(Contents::present);
  Optimizer optimizer(AdamW{}, counted.parameters());
  EXPECT_EQ(optimizer.step_count("t0"), 77);
  EXPECT_EQ(optimizer.step_count("t1"), 77);
  EXPECT_EQ(optimizer.step_count("t2"), 0);
  train_finite(counted.model, optimizer, 1);
  EXPECT_EQ(counted.real, 78.0f);
  EXPECT_EQ(counted.whole, 78);
  EXPECT_TRUE(equal_bits(with_loaded_counts(rule_case("AdamW", AdamW{}), {{77, 77, 0, 77}}),
                         snapshot(counted.model.parameters(), optimizer)));
}

TEST(Counters, StandStillWhereTheParameterTakesNoPart) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  std::vector<Tensor> gradients = counted.model.gradients();
  gradients[0] = {};
  optimizer.set_gradients(gradients);
  train_finite(counted.model, optimizer, 2);
  EXPECT_EQ(counted.real, 0.0f);
  EXPECT_EQ(counted.whole, 2);
  float found_inf = 1.0f;
  optimizer.set_found_inf(&found_inf);
  optimizer.step();
  EXPECT_EQ(counted.whole, 2);
  EXPECT_EQ(optimizer.skipped_steps(), 1);
}

TEST(Counters, AreLoaded) {
  Counted source, target;
  Optimizer trained(AdamW{}, source.parameters()), loaded(AdamW{}, target.parameters());
  train_finite(source.model, trained, 3);
  StateDict dict = trained.state_dict();
  dict.parameters[0].step = 16777215;
  dict.parameters[1].step = kMost;
  loaded.load_state_dict(dict);
  EXPECT_EQ(target.real, 16777215.0f);
  EXPECT_EQ(target.whole, kMost);
  EXPECT_EQ(target.last, 3.0f);
  EXPECT_EQ(loaded.step_count("t2"), 3);
}

TEST(Counters, ThatLoadingCannotFillAreRefused) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  train_finite(counted.model, optimizer, 2);
  StateDict dict = optimizer.state_dict();
  dict.parameters[0].step = 16777216;
  EXPECT_TRUE(
      refused([&] { optimizer.load_state_dict(dict); }, {"16777216 steps of \"t0\"", "float32", "2^24"}));
  EXPECT_EQ(counted.real, 2.0f);
}

TEST(Counters, OfFloat32EndAt16777216) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  counted.real = kFull - 1;
  train_finite(counted.model, optimizer, 1);
  EXPECT_EQ(counted.real, kFull);
  EXPECT_EQ(optimizer.step_count("t0"), 16777216);
  optimizer.check();
  const Snapshot before = snapshot(counted.model.parameters(), optimizer);
  optimizer.step();
  const Snapshot after = snapshot(counted.model.parameters(), optimizer);
  for (const char* const name : {"t0", "t0.step", "t0.exp_avg", "t0.exp_avg_sq"}) {
    EXPECT_TRUE(equal_bits(before.at(name), after.at(name))) << name;
  }
  EXPECT_EQ(counted.whole, 2);
  EXPECT_FALSE(equal_bits(before.at("t1"), after.at("t1")));
  EXPECT_TRUE(refused([&] { optimizer.check(); },
                      {"a step left out \"t0\"", "holds 16777216", "float32", "int64 counts to 2^53"}));
  optimizer.check();
}

/// Steps once with what `set` puts into the counters, and expects that the step leaves "t0" or "t1" out.
template <class Set>
void expect_left_out(const std::string& name, Set set, std::initializer_list<std::string> words) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  train_finite(counted.model, optimizer, 1);
  const std::vector<float> value = read(counted.model.parameters()[name == "t0" ? 0 : 1].value);
  const std::vector<float> state = read(optimizer.state(name, "exp_avg"));
  set(counted);
  const float real = counted.real;
  const std::int64_t whole = counted.whole;
  optimizer.set_gradient_handling({.zero_grad = true});
  train_finite(counted.model, optimizer, 1, 2);
  EXPECT_TRUE(equal_bits(value, read(counted.model.parameters()[name == "t0" ? 0 : 1].value)));
  EXPECT_TRUE(equal_bits(state, read(optimizer.state(name, "exp_avg"))));
  EXPECT_EQ(counted.model.grad(name == "t0" ? 0 : 1).read()[0], 0.0f);
  EXPECT_EQ(optimizer.step_count("t2"), 2);
  EXPECT_EQ(optimizer.steps(), 2);
  // The counter of the one that is left out stands still, NaN or not; the other one counts.
  EXPECT_TRUE(name == "t0" ? counted.whole == 2 : counted.whole == whole);
  EXPECT_TRUE(name == "t1" ? counted.real == 2.0f : counted.real == real || std::isnan(real));
  EXPECT_TRUE(refused([&] { optimizer.check(); }, words));
  optimizer.check();
  EXPECT_TRUE(refused([&] { (void)optimizer.step_count(name); }, {"step of \"" + name + "\" holds"}));
  EXPECT_TRUE(refused([&] { (void)optimizer.state_dict(); }, {"step of \"" + name + "\" holds"}));
}

TEST(Counters, ThatHoldNoCountLeaveTheParameterOut) {
  for (const float bad : {-1.0f, 0.5f, 3.25f, std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(), 0x1p24f + 2.0f, 1e30f}) {
    SCOPED_TRACE(bad);
    expect_left_out("t0", [&](Counted& counted) { counted.real = bad; },
                    {"a step left out \"t0\"", "whole number from 0 to 16777215"});
  }
  for (const std::int64_t bad : {std::int64_t{-1}, kMost + 1, std::numeric_limits<std::int64_t>::min()}) {
    SCOPED_TRACE(bad);
    expect_left_out("t1", [&](Counted& counted) { counted.whole = bad; },
                    {"a step left out \"t1\"", std::to_string(bad), "int64", "from 0 to 9007199254740991"});
  }
}

TEST(Counters, OfInt64EndAt2To53) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  counted.whole = kMost - 1;
  train_finite(counted.model, optimizer, 2);
  EXPECT_EQ(counted.whole, kMost);
  EXPECT_EQ(counted.real, 2.0f);
  EXPECT_TRUE(refused([&] { optimizer.check(); }, {"\"t1\"", "9007199254740992"}));
}

TEST(Counters, TheFirstOneThatHeldNoCountIsNamedEvenIfItWasMendedSince) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  counted.last = -1.0f;
  counted.whole = -1;
  optimizer.step();
  counted.whole = 5;
  optimizer.step();
  EXPECT_EQ(counted.whole, 6);
  EXPECT_TRUE(refused([&] { optimizer.check(); }, {"a step left out \"t1\"", "then"}));
}

TEST(Counters, OfRemovedParametersAreNotReported) {
  Counted counted;
  Optimizer optimizer(AdamW{}, counted.parameters());
  counted.last = -1.0f;
  optimizer.step();
  optimizer.remove_parameters({"t1"});
  EXPECT_TRUE(refused([&] { optimizer.check(); }, {"a step left out \"t3\""}));
  optimizer.step();
  optimizer.remove_parameters({"t3"});
  optimizer.check();
  optimizer.step();
  EXPECT_EQ(counted.real, 3.0f);
  EXPECT_EQ(counted.whole, 1);
  EXPECT_EQ(counted.last, -1.0f);
}

TEST(Counters, AreRefusedAtRegistrationIfTheyHoldNoCount) {
  const auto refuses = [](auto set, std::initializer_list<std::string> words) {
    Counted counted(Contents::present);
    set(counted);
    return refused([&] { Optimizer(AdamW{}, counted.parameters()); }, words);
  };
  EXPECT_TRUE(refuses([](Counted& one) { one.real = kFull; },
                      {"step of \"t0\" holds 16777216", "float32", "16777215", "int64"}));
  EXPECT_TRUE(refuses([](Counted& one) { one.real = -1.0f; }, {"step of \"t0\" holds -1"}));
  EXPECT_TRUE(refuses([](Counted& one) { one.last = 0.5f; }, {"step of \"t3\" holds 0.5"}));
  EXPECT_TRUE(refuses([](Counted& one) { one.real = std::nanf(""); }, {"step of \"t0\" holds nan"}));
  EXPECT_TRUE(refuses([](Counted& one) { one.whole = -2; }, {"step of \"t1\" holds -2", "int64"}));
  EXPECT_TRUE(refuses([](Counted& one) { one.whole = kMost; }, {"step of \"t1\"", "9007199254740991"}));
  Counted counted(Contents::present);
  counted.real = kFull - 1;
  EXPECT_EQ(Optimizer(AdamW{}, counted.parameters()).step_count("t0"), 16777215);
}

TEST(Counters, AreOneFloat32OrInt64AndNotShared) {
  Counted counted;
  std::vector<Parameter> parameters = counted.parameters();
  const auto refuses = [&](const Tensor& tensor, std::initializer_list<std::string> words) {
    parameters[1].streams[0].tensor = tensor;
    return refused([&] { Optimizer(AdamW{}, parameters); }, words);
  };
  std::int64_t two[2] = {};
  EXPECT_TRUE(refuses({two, DType::int64, 2}, {"step of \"t1\" has 2 elements"}));
  EXPECT_TRUE(refuses({two, DType::uint8, 1}, {"step of \"t1\" is of uint8", "float32 or int64"}));
  EXPECT_TRUE(
      refuses({reinterpret_cast<std::byte*>(two) + 4, DType::int64, 1}, {"step of \"t1\"", "not aligned"}));
  EXPECT_TRUE(refuses(Tensor(&counted.real, 1), {"step of \"t0\"", "step of \"t1\"", "overlap"}));
}

TEST(Counters, MayMoveBetweenSteps) {
  Counted counted;
  std::vector<Parameter> parameters = counted.parameters();
  Optimizer optimizer(AdamW{}, parameters);
  optimizer.step();
  float elsewhere = 10.0f;
  parameters[0].streams[0].tensor = Tensor(&elsewhere, 1);
  optimizer.set_memory(std::vector<Parameter>{parameters[0]});
  optimizer.step();
  EXPECT_EQ(elsewhere, 11.0f);
  EXPECT_EQ(counted.real, 1.0f);
  EXPECT_EQ(optimizer.step_count("t0"), 11);
}

}  // namespace
}  // namespace onepass::test
