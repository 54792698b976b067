// model_sums_test.cpp - a rule that sums over the model has one set of scalars for all its parameters,
// whatever their order, their groups and the step at which they joined.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/shards/sharded_model.hpp"

namespace onepass::test {
namespace {

// Random gradients do not agree on a way. With this d_coef d grows where they agree by chance.
constexpr Prodigy kRule{.d0 = 0.01, .d_coef = 100.0, .growth_rate = 1.5, .weight_decay = 0.1};
const std::vector<Shape> kShapes{
    {.numel = 20'000, .id = 0}, {.numel = 0, .id = 1}, {.numel = 3001, .id = 2}, {.numel = 33, .id = 3}};

double scalar(Optimizer& optimizer, const std::string& parameter, const char* name = "d") {
  return *static_cast<const double*>(optimizer.state(parameter, name).data);
}

/// Drops the gradient of one parameter for the steps to come.
void drop_gradient(Model& model, Optimizer& optimizer, std::size_t tensor) {
  std::vector<Tensor> gradients = model.gradients();
  gradients[tensor].data = nullptr;
  optimizer.set_gradients(gradients);
}

TEST(ModelSums, GiveAllParametersOneD) {
  Model model(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  train_finite(model, optimizer, 20);
  const double d = scalar(optimizer, "t0");
  EXPECT_GT(d, 0.01);
  for (const char* name : {"t1", "t2", "t3"}) EXPECT_EQ(scalar(optimizer, name), d) << name;
}

// Alone, a parameter finds another d.
TEST(ModelSums, RunOverAllParameters) {
  Model model(kShapes), alone({kShapes[2]});
  Optimizer optimizer(kRule, model.parameters()), other(kRule, alone.parameters());
  train_finite(model, optimizer, 6);
  train_finite(alone, other, 6);
  EXPECT_NE(scalar(optimizer, "t2"), scalar(other, "t2"));
}

TEST(ModelSums, AreTheSameForAnyOrderThreadsAndChunks) {
  Model model(kShapes);
  Optimizer one(kRule, model.parameters(), {.threads = 1});
  train_finite(model, one, 6);
  const Snapshot expected = snapshot(model.parameters(), one);
  for (const int threads : {2, 5}) {
    std::vector<Shape> turned = kShapes;
    std::ranges::reverse(turned);
    Model other(turned);
    Optimizer many(kRule, other.parameters(), {.chunk_size = 64 * threads, .threads = threads});
    train_finite(other, many, 6);
    EXPECT_TRUE(equal_bits(expected, snapshot(other.parameters(), many))) << threads << " threads";
    EXPECT_EQ(scalar(many, "t0"), scalar(one, "t0"));
  }
}

TEST(ModelSums, RunOverGroups) {
  std::vector<Shape> grouped = kShapes;
  for (std::size_t i = 0; i < grouped.size(); ++i) grouped[i].group = i % 2;
  Model model(kShapes), other(grouped);
  Optimizer one(kRule, model.parameters()), two(Rules{kRule, kRule}, other.parameters());
  train_finite(model, one, 6);
  train_finite(other, two, 6);
  EXPECT_TRUE(equal_bits(snapshot(model.parameters(), one), snapshot(other.parameters(), two)));
}

// A group at rest takes no part in d, and keeps its parameters.
TEST(ModelSums, LeaveOutAGroupWithoutARate) {
  std::vector<Shape> grouped = kShapes;
  grouped[0].group = 1;
  Prodigy resting = kRule;
  resting.lr = 0.0;
  Model model({kShapes.begin() + 1, kShapes.end()}), other(grouped);
  Optimizer one(kRule, model.parameters()), two(Rules{kRule, resting}, other.parameters());
  const std::vector<float> before = other.value(0).read();
  train_finite(model, one, 6);
  train_finite(other, two, 6);
  EXPECT_EQ(scalar(one, "t3"), scalar(two, "t3"));
  EXPECT_TRUE(equal_bits(before, other.value(0).read()));
}

TEST(ModelSums, LeaveOtherRulesAlone) {
  std::vector<Shape> grouped = kShapes;
  grouped[0].group = 1;
  Model model({kShapes.begin() + 1, kShapes.end()}), other(grouped), rest({kShapes[0]});
  Optimizer one(kRule, model.parameters()), alone(LAMB{.lr = 0.01}, rest.parameters());
  Optimizer both(Rules{kRule, LAMB{.lr = 0.01}}, other.parameters());
  train_finite(model, one, 6);
  train_finite(rest, alone, 6);
  train_finite(other, both, 6);
  EXPECT_EQ(scalar(one, "t3"), scalar(both, "t3"));
  EXPECT_TRUE(equal_bits(model.value(1).read(), other.value(2).read()));
  EXPECT_TRUE(equal_bits(rest.value(0).read(), other.value(0).read()));
}

TEST(ModelSums, ScalarsAreTakenOverByAParameterThatJoinsLate) {
  Model model(kShapes);
  std::vector<Parameter> parameters = model.parameters();
  const Parameter late = parameters.back();
  parameters.pop_back();
  Optimizer optimizer(kRule, parameters);
  train_finite(model, optimizer, 5);
  const double d = scalar(optimizer, "t0");
  optimizer.add_parameters(std::vector<Parameter>{late});
  train_finite(model, optimizer, 1, 6);
  EXPECT_GE(scalar(optimizer, "t3"), d);
  EXPECT_EQ(scalar(optimizer, "t3"), scalar(optimizer, "t0"));
  EXPECT_EQ(scalar(optimizer, "t3", "k"), 6.0);
}

// The first parameter has taken the most steps when the others go on without it, and the fewest later.
TEST(ModelSums, ScalarsAreTakenOverByAParameterThatHadNoGradient) {
  Model model(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  train_finite(model, optimizer, 3);
  drop_gradient(model, optimizer, 0);
  const double before = scalar(optimizer, "t0");
  for (int step = 4; step <= 8; ++step) {
    model.draw_finite_gradients(step);
    optimizer.step();
  }
  EXPECT_EQ(scalar(optimizer, "t0"), before);
  EXPECT_EQ(scalar(optimizer, "t0", "k"), 3.0);
  EXPECT_EQ(scalar(optimizer, "t2", "k"), 8.0);
  optimizer.set_gradients(model.gradients());
  train_finite(model, optimizer, 1, 9);
  EXPECT_EQ(scalar(optimizer, "t0", "k"), 9.0);
  EXPECT_EQ(scalar(optimizer, "t0"), scalar(optimizer, "t2"));
}

TEST(ModelSums, OfASkippedStepAreForgotten) {
  Model model(kShapes), other(kShapes);
  Optimizer optimizer(kRule, model.parameters()), usual(kRule, other.parameters());
  for (Optimizer* one : {&optimizer, &usual}) one->set_gradient_handling({.nonfinite = NonFinite::skip});
  train_finite(model, optimizer, 3);
  train_finite(other, usual, 3);
  model.draw_finite_gradients(4);
  model.grad(2).host()[7] = std::numeric_limits<float>::infinity();
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_steps(), 1);
  train_finite(model, optimizer, 3, 4);
  train_finite(other, usual, 3, 4);
  EXPECT_TRUE(equal_bits(snapshot(model.parameters(), optimizer), snapshot(other.parameters(), usual)));
}

TEST(ModelSums, GoOnFromAStateDict) {
  Model model(kShapes), resumed(kShapes);
  Optimizer optimizer(kRule, model.parameters()), other(kRule, resumed.parameters());
  train_finite(model, optimizer, 5);
  other.load_state_dict(optimizer.state_dict());
  for (std::size_t i = 0; i < model.size(); ++i)
    std::ranges::copy(model.value(i).host(), resumed.value(i).host().begin());
  train_finite(model, optimizer, 5, 6);
  train_finite(resumed, other, 5, 6);
  EXPECT_TRUE(equal_bits(snapshot(model.parameters(), optimizer), snapshot(resumed.parameters(), other)));
}

TEST(ModelSums, RefuseAStepOfAPart) {
  Model model(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  EXPECT_TRUE(refused([&] { optimizer.step_some(std::vector<std::size_t>{0}); },
                      {"step_some() cannot step a part of the model with Prodigy"}));
  train_finite(model, optimizer, 1);
  EXPECT_EQ(optimizer.steps(), 1);
}

TEST(ModelSums, InEveryFormatAreTheSameForAnyThreads) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    const auto after = [&](int threads) {
      FormatModel model(format, Device::cpu(), {9000, 0, 1030, 7});
      Optimizer optimizer(
          kRule, model.parameters(),
          {.threads = threads, .storage = format.low(), .float32_storage = format.wide(), .seed = 7});
      for (int step = 1; step <= 5; ++step) {
        model.draw_finite(step);
        optimizer.step();
      }
      EXPECT_TRUE(model.intact());
      return all_bytes(model, optimizer.state_dict());
    };
    EXPECT_EQ(after(1), after(3));
  }
}

}  // namespace
}  // namespace onepass::test
