// remove_test.cpp - parameters can be removed, and the others go on as if these had never been there.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/programs.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

const std::vector<Shape> kAll{{.numel = 70},   {.numel = 5003, .value_misalignment = 1},
                              {.numel = 0},    {.numel = 33, .grad_misalignment = 2},
                              {.numel = 1100}, {.numel = 8}};
const std::vector<std::string> kLeaving{"t4", "t0", "t2"};
const std::vector<Shape> kStaying{{.numel = 5003, .value_misalignment = 1, .id = 1},
                                  {.numel = 33, .grad_misalignment = 2, .id = 3},
                                  {.numel = 8, .id = 5}};

/// Returns the parameters that stay.
std::vector<Parameter> staying(const std::vector<Parameter>& all) {
  std::vector<Parameter> some;
  for (const Parameter& one : all) {
    if (std::ranges::find(kLeaving, one.name) == kLeaving.end()) some.push_back(one);
  }
  return some;
}

TEST(Remove, LeavesTheBitsOfAnOptimizerThatNeverHadThem) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Model without(kStaying), with(kAll);
    Optimizer wanted = rule.make(without.parameters()), actual = rule.make(with.parameters());
    train(without, wanted, 4);
    train(with, actual, 2);
    actual.remove_parameters(kLeaving);
    EXPECT_EQ(actual.parameter_count(), 3u);
    const std::vector<float> left = with.value(0).read();
    train(with, actual, 2, 3);
    EXPECT_TRUE(
        equal_bits(snapshot(without.parameters(), wanted), snapshot(staying(with.parameters()), actual)));
    EXPECT_TRUE(equal_bits(left, with.value(0).read()));
    EXPECT_EQ(actual.steps(), 4);
    EXPECT_TRUE(with.intact());
  }
}

TEST(Remove, LeavesTheBitsOfMixedRules) {
  const std::vector<Rule> rules = mixed_rules();
  const std::vector<Shape> shapes = interleaved_shapes(rules.size());
  std::vector<Shape> some;
  std::vector<std::string> leaving;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].group == 1 || i % 4 == 0) {
      leaving.push_back(tensor_name(static_cast<int>(i)));
    } else {
      some.push_back(shapes[i]);
      some.back().id = static_cast<int>(i);
    }
  }
  Model without(some), with(shapes);
  Optimizer wanted{rules, without.parameters()}, actual{rules, with.parameters()};
  train(with, actual, 1);
  train(without, wanted, 1);
  actual.remove_parameters(leaving);
  for (Optimizer* const one : {&wanted, &actual}) {
    one->clip_grad_norm({.max_norm = 0.5, .per_group = true});
  }
  train_finite(without, wanted, 3, 2);
  train_finite(with, actual, 3, 2);
  std::vector<Parameter> left;
  for (Parameter& one : with.parameters()) {
    if (std::ranges::find(leaving, one.name) == leaving.end()) left.push_back(std::move(one));
  }
  EXPECT_TRUE(equal_bits(snapshot(without.parameters(), wanted), snapshot(left, actual)));
  for (std::size_t group = 0; group < rules.size(); ++group) {
    EXPECT_EQ(wanted.grad_norm(group), actual.grad_norm(group)) << group;
  }
  EXPECT_EQ(wanted.grad_norm(), actual.grad_norm());
  EXPECT_EQ(wanted.penalty(), actual.penalty());
}

class RemoveFrom : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Formats, RemoveFrom, testing::ValuesIn(all_format_cases()),
                         [](const auto& one) { return std::string(one.param.name); });

/// An optimizer with everything that keeps memory for each parameter.
Optimizer with_everything(const FormatCase& format, const std::vector<Parameter>& parameters) {
  return {AdamW{.amsgrad = true},
          parameters,
          {.storage = format.low(),
           .float32_storage = format.wide(),
           .seed = 5,
           .ema = EMA{},
           .accumulates_gradients = true}};
}

TEST_P(RemoveFrom, KeepsStatesAveragesSumsAndCountsOfTheOthers) {
  const FormatModel model(GetParam(), Device::cpu(), {100, 33, 0, 1100, 7});
  Optimizer optimizer = with_everything(GetParam(), model.parameters());
  std::vector<Tensor> gradients;
  for (const Parameter& one : model.parameters()) gradients.push_back(one.grad);
  gradients[4] = {};
  for (int step = 1; step <= 3; ++step) {
    if (step == 2) optimizer.set_gradients(gradients);  // the last one takes one step less than the others
    model.draw_finite(step);
    optimizer.accumulate();
    if (step < 3) optimizer.step();
  }
  StateDict wanted = optimizer.state_dict();
  wanted.parameters.erase(wanted.parameters.begin() + 1);
  wanted.parameters.erase(wanted.parameters.begin() + 2);
  optimizer.remove_parameters({"t3", "t1"});
  const StateDict actual = optimizer.state_dict();
  ASSERT_EQ(actual.parameters.size(), 3u);
  EXPECT_EQ(actual.micro_batches, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    const SavedParameter &saved = wanted.parameters[i], &kept = actual.parameters[i];
    EXPECT_EQ(saved.name, kept.name);
    EXPECT_EQ(saved.step, kept.step);
    EXPECT_EQ(saved.accumulated, kept.accumulated);
    EXPECT_EQ(saved.gradient_sum, kept.gradient_sum);
    for (std::size_t s = 0; s < saved.states.size(); ++s) {
      EXPECT_EQ(saved.states[s].bytes, kept.states[s].bytes);
    }
  }
  EXPECT_TRUE(refused([&] { (void)optimizer.state("t3", "exp_avg"); }, {"there is no parameter \"t3\""}));
}

TEST_P(RemoveFrom, GoesOnWithTheBitsOfAnOptimizerThatNeverHadThem) {
  const FormatModel with(GetParam(), Device::cpu(), {100, 33, 5003});
  const FormatModel without(GetParam(), Device::cpu(), {100, 33, 5003});
  std::vector<Parameter> some = without.parameters();
  some.erase(some.begin() + 1);
  Optimizer wanted = with_everything(GetParam(), some);
  Optimizer actual = with_everything(GetParam(), with.parameters());
  for (int step = 1; step <= 4; ++step) {
    if (step == 3) actual.remove_parameters({"t1"});
    for (const FormatModel* const model : {&with, &without}) model->draw_finite(step);
    for (Optimizer* const one : {&wanted, &actual}) {
      one->accumulate();
      one->step();
    }
  }
  const StateDict a = wanted.state_dict(), b = actual.state_dict();
  EXPECT_EQ(all_bytes(without.value(0), a.parameters[0]), all_bytes(with.value(0), b.parameters[0]));
  EXPECT_EQ(all_bytes(without.value(2), a.parameters[1]), all_bytes(with.value(2), b.parameters[1]));
}

TEST(Remove, AParameterThatIsAddedAgainBeginsAnew) {
  Model model(kAll), fresh(kAll);
  Optimizer optimizer(AdamW{}, model.parameters());
  train(model, optimizer, 2);
  optimizer.remove_parameters({"t1"});
  model.value(1).write(fresh.value(1).read());
  optimizer.add_parameters(std::vector<Parameter>{model.parameters()[1]});
  EXPECT_EQ(optimizer.step_count("t1"), 0);
  train(model, optimizer, 2, 3);
  Optimizer wanted(AdamW{}, std::vector<Parameter>{fresh.parameters()[1]});
  train(fresh, wanted, 2, 3);
  EXPECT_EQ(optimizer.step_count("t1"), 2);
  EXPECT_EQ(optimizer.step_count("t3"), 4);
  EXPECT_TRUE(equal_bits(fresh.value(1).read(), model.value(1).read()));
  EXPECT_TRUE(equal_bits(read(wanted.state("t1", "exp_avg")), read(optimizer.state("t1", "exp_avg"))));
}

TEST(Remove, AllParametersLeavesAnOptimizerThatCountsStepsAndStepsNothing) {
  Model model(kAll);
  Optimizer optimizer(AdamW{}, model.parameters(), {.accumulates_gradients = true});
  optimizer.clip_grad_norm(1.0);
  model.draw_finite_gradients(1);
  optimizer.accumulate();
  optimizer.step();
  const double norm = optimizer.grad_norm();
  EXPECT_GT(norm, 0.0);
  const std::vector<float> left = model.value(1).read();
  optimizer.remove_parameters({"t0", "t1", "t2", "t3", "t4", "t5"});
  EXPECT_EQ(optimizer.parameter_count(), 0u);
  EXPECT_EQ(optimizer.grad_norm(), norm);
  optimizer.accumulate();
  optimizer.step();
  optimizer.zero_grad();
  EXPECT_EQ(optimizer.steps(), 2);
  EXPECT_EQ(optimizer.grad_norm(), 0.0);
  EXPECT_EQ(optimizer.penalty(), 0.0);
  EXPECT_TRUE(optimizer.memory().empty());
  EXPECT_TRUE(optimizer.state_dict().parameters.empty());
  optimizer.load_state_dict(optimizer.state_dict());
  EXPECT_TRUE(equal_bits(left, model.value(1).read()));
  optimizer.remove_parameters(std::vector<std::string>{});

  optimizer.add_parameters(model.parameters());
  model.draw_finite_gradients(2);
  optimizer.accumulate();
  optimizer.step();
  EXPECT_EQ(optimizer.steps(), 3);
  EXPECT_EQ(optimizer.step_count("t1"), 1);
}

TEST(Remove, RefusesUnknownAndRepeatedNamesAndChangesNothing) {
  Model model(kAll);
  Optimizer optimizer(AdamW{}, model.parameters());
  train(model, optimizer, 1);
  EXPECT_TRUE(refused([&] { optimizer.remove_parameters({"t1", "w"}); }, {"there is no parameter \"w\""}));
  EXPECT_TRUE(refused(
      [&] {
        optimizer.remove_parameters({"t1", "t3", "t1"});
      },
      {"remove_parameters", "\"t1\" twice"}));
  EXPECT_EQ(optimizer.parameter_count(), 6u);
  train(model, optimizer, 1, 2);
  EXPECT_EQ(optimizer.step_count("t1"), 2);
}

TEST(Remove, PlacesOfGradientsThatWereNotFiniteKeepTheirNames) {
  Model model(kAll);
  Optimizer optimizer(SGD{}, model.parameters());
  optimizer.set_nonfinite(NonFinite::error);
  const auto message = [&] {
    try {
      optimizer.check();
    } catch (const NonFiniteGradient& error) {
      return std::string(error.what());
    }
    return std::string("nothing was wrong");
  };
  const auto poison = [&](std::size_t tensor, std::size_t element) {
    model.draw_finite_gradients(1);
    model.grad(tensor).host()[element] = std::numeric_limits<float>::infinity();
    optimizer.step();
  };
  poison(4, 1000);
  optimizer.remove_parameters({"t1", "t5"});
  EXPECT_NE(message().find("element 1000 of \"t4\""), std::string::npos);
  poison(3, 7);
  optimizer.remove_parameters({"t3"});
  EXPECT_NE(message().find("of a parameter that was removed since"), std::string::npos);
  EXPECT_EQ(message(), "nothing was wrong");
  poison(0, 69);
  optimizer.remove_parameters({"t4"});
  EXPECT_NE(message().find("element 69 of \"t0\""), std::string::npos);
}

TEST(Remove, FreesTheMemoryOfARegistrationWithItsLastParameter) {
  constexpr std::int64_t kNumel = std::int64_t{1} << 20;
  std::vector<float> a(kNumel), b(kNumel), c(8);
  const auto allocated = [] {
    const struct mallinfo2 all = mallinfo2();
    return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
  };
  if (allocated() == 0) GTEST_SKIP() << "this allocator does not tell how much it has given";
  Optimizer optimizer(Adam{}, std::vector<Parameter>{{.name = "c", .value = c}});
  optimizer.add_parameters(std::vector<Parameter>{{.name = "a", .value = a}, {.name = "b", .value = b}});
  const std::int64_t with_both = allocated();
  optimizer.remove_parameters({"a"});
  EXPECT_NEAR(with_both, allocated(), kNumel);
  optimizer.remove_parameters({"b"});
  EXPECT_LT(allocated(), with_both - 3 * kNumel * std::int64_t{sizeof(float)});
  optimizer.step();
}

}  // namespace
}  // namespace onepass::test
