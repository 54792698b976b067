// nonfinite_test.cpp - NonFinite::skip and ::error skip a step with a NaN or an Inf among its gradients, and
// after ::error check() names the first such element.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Returns the message that check() throws, or an empty string if it throws none.
template <class AnyOrTyped>
std::string complaint(AnyOrTyped& optimizer) {
  try {
    optimizer.check();
  } catch (const NonFiniteGradient& error) {
    return error.what();
  }
  return "";
}

bool names(const std::string& sentence, std::int64_t element, int tensor) {
  std::string place = "element ";
  place.append(std::to_string(element)).append(" of \"").append(tensor_name(tensor)).append("\"");
  return sentence.find(place) != std::string::npos;
}

void spoil(Model& model, std::size_t tensor, std::int64_t element, float value) {
  std::vector<float> gradient = model.grad(tensor).read();
  gradient[static_cast<std::size_t>(element)] = value;
  model.grad(tensor).write(gradient);
}

class NonFiniteRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, NonFiniteRules, testing::ValuesIn(rule_options()), by_name);

const std::vector<Shape> kShapes{{.numel = 70}, {.numel = 0}, {.numel = 1100, .grad_misalignment = 1}};

TEST_P(NonFiniteRules, SkippedStepsLeaveNoTrace) {
  for (const NonFinite policy : {NonFinite::skip, NonFinite::error}) {
    Model model(kShapes), twin(kShapes);
    Optimizer optimizer = GetParam().make(model.parameters(), {});
    Optimizer steady = GetParam().make(twin.parameters(), {});
    optimizer.set_gradient_handling({.nonfinite = policy});
    train_finite(model, optimizer, 2);
    const Snapshot before = snapshot(model.parameters(), optimizer);
    for (const float bad : {kNaN, kInf, -kInf}) {
      model.draw_finite_gradients(50);
      spoil(model, 2, 1030, bad);
      optimizer.step();
      EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer))) << bad;
    }
    EXPECT_EQ(optimizer.skipped_steps(), 3);
    EXPECT_EQ(optimizer.steps(), 2);
    EXPECT_EQ(optimizer.step_count("t0"), 2);

    train_finite(model, optimizer, 2, 3);
    train_finite(twin, steady, 4);
    EXPECT_EQ(optimizer.steps(), 4);
    EXPECT_EQ(optimizer.skipped_steps(), 3);
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  }
}

TEST_P(NonFiniteRules, PropagateSkipsNoStepAndReportsNothing) {
  Model model(kShapes), twin(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  Optimizer steady = GetParam().make(twin.parameters(), {});
  optimizer.set_gradient_handling({.nonfinite = NonFinite::propagate});
  train(model, optimizer, 20);
  train(twin, steady, 20);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(optimizer.skipped_steps(), 0);
  EXPECT_EQ(complaint(optimizer), "");
}

// The bad elements lie at borders of slots, leaves, pieces and vectors, in tails, and in a tensor of one
// element between others.
TEST(NonFinite, ErrorNamesTensorAndElement) {
  const std::vector<Shape> shapes{{.numel = 5000},
                                  {.numel = 0},
                                  {.numel = 1},
                                  {.numel = 13003, .grad_misalignment = 1},
                                  {.numel = 77, .grad_misalignment = 3}};
  const std::pair<int, std::vector<std::int64_t>> places[] = {
      {0, {0, 1, 31, 127, 128, 1023, 1024, 1025, 4095, 4096, 4097, 4999}},
      {2, {0}},
      {3, {0, 3, 4, 5, 1023, 1024, 4095, 4096, 8191, 8192, 12287, 12288, 13001, 13002}},
      {4, {0, 75, 76}}};
  Model model(shapes);
  Optimizer optimizer(Adam{}, model.parameters());
  optimizer.set_gradient_handling({.nonfinite = NonFinite::error});
  const Snapshot before = snapshot(model.parameters(), optimizer);
  int bad_steps = 0;
  for (const auto& [tensor, elements] : places) {
    for (const std::int64_t element : elements) {
      const float bad = element % 3 == 0 ? kNaN : element % 3 == 1 ? kInf : -kInf;
      model.draw_finite_gradients(1);
      spoil(model, static_cast<std::size_t>(tensor), element, bad);
      optimizer.step();
      ++bad_steps;
      const std::string sentence = complaint(optimizer);
      EXPECT_TRUE(names(sentence, element, tensor))
          << "element " << element << " of t" << tensor << ": " << sentence;
      EXPECT_TRUE(sentence.starts_with("onepass: Optimizer: ")) << sentence;
      EXPECT_EQ(complaint(optimizer), "") << "told twice";
    }
  }
  EXPECT_EQ(optimizer.skipped_steps(), bad_steps);
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
}

TEST(NonFinite, FirstOfSeveralIsNamed) {
  for (const int threads : {1, 4}) {
    // The first tensor is large enough for the optimizer to wake threads.
    Model model({{.numel = 2100000}, {.numel = 50000, .grad_misalignment = 2}});
    Optimizer optimizer(SGD{}, model.parameters(), {.threads = threads});
    optimizer.set_gradient_handling({.nonfinite = NonFinite::error});
    const std::pair<std::size_t, std::int64_t> later_and_later[] = {
        {1, 49999}, {1, 3}, {0, 2099999}, {0, 1300000}, {0, 4097}, {0, 4096}, {0, 1030}, {0, 1029}, {0, 7}};
    for (const auto& [tensor, element] : later_and_later) {
      spoil(model, tensor, element, element % 2 == 0 ? kNaN : kInf);
      optimizer.step();
      EXPECT_TRUE(names(complaint(optimizer), element, static_cast<int>(tensor))) << element;
    }
  }
}

TEST(NonFinite, ErrorRemembersTheFirstBadStep) {
  FlatModel model({{1.0f, 2.0f, 3.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.set_nonfinite(NonFinite::error);
  optimizer.check();
  model.grads[0] = {1.0f, 2.0f, kNaN};
  optimizer.step();
  model.grads[0] = {kInf, 2.0f, 3.0f};
  optimizer.step();
  model.grads[0] = {1.0f, 2.0f, 3.0f};
  optimizer.step();
  EXPECT_TRUE(names(complaint(optimizer), 2, 0));
  EXPECT_EQ(complaint(optimizer), "");
  EXPECT_EQ(model.values[0][0], -1.0f);
  model.grads[0][1] = -kInf;
  optimizer.step();
  EXPECT_TRUE(names(complaint(optimizer), 1, 0));
}

// A scale in the caller's memory cannot be refused when it is set.
TEST(NonFinite, LossScaleThatCannotBeDividedByIsNamed) {
  for (const float scale : {2e-39f, -2e-39f, 0.0f, kInf, -kInf, kNaN}) {
    FlatModel model({{1.0f, 0.0f}}, 0.5f);
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.set_gradient_handling({.nonfinite = NonFinite::error, .grad_scale = &scale});
    optimizer.step();
    EXPECT_EQ(model.values[0], (std::vector<float>{0.5f, 0.5f})) << scale;
    EXPECT_EQ(optimizer.skipped_steps(), 1) << scale;
    EXPECT_NE(complaint(optimizer).find("loss scale"), std::string::npos) << scale;
    EXPECT_EQ(complaint(optimizer), "");
  }
}

TEST(NonFinite, SkipReportsNothing) {
  FlatModel model({{kNaN}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.set_nonfinite(NonFinite::skip);
  optimizer.step();
  EXPECT_EQ(complaint(optimizer), "");
  // NonFinite::error applies only to the steps after it was set.
  optimizer.set_nonfinite(NonFinite::error);
  EXPECT_EQ(complaint(optimizer), "");
  optimizer.step();
  EXPECT_TRUE(names(complaint(optimizer), 0, 0));
  optimizer.set_nonfinite(NonFinite::propagate);
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_steps(), 2);
  EXPECT_TRUE(std::isnan(model.values[0][0]));
}

// Two finite micro-batches may have an infinite sum.
TEST(NonFinite, SumOfMicroBatchesThatOverflowsIsFound) {
  FlatModel model({{1.0f, 3e38f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), {.accumulates_gradients = true}};
  optimizer.set_nonfinite(NonFinite::error);
  optimizer.accumulate();
  optimizer.accumulate();
  optimizer.step();
  EXPECT_TRUE(names(complaint(optimizer), 1, 0));
  EXPECT_EQ(model.values[0][0], 0.0f);
}

TEST(NonFinite, AbsentGradientIsNotChecked) {
  FlatModel model({{1.0f}, {kNaN}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.set_nonfinite(NonFinite::error);
  optimizer.set_gradients(std::vector<Tensor>{std::span(model.grads[0]), Tensor{}});
  optimizer.step();
  EXPECT_EQ(complaint(optimizer), "");
  EXPECT_EQ(model.values[0][0], -1.0f);
}

// The message names the element of the step, even if parameters have been added since.
TEST(NonFinite, ErrorOutlivesAddingParameters) {
  FlatModel model({{1.0f}, {1.0f, kInf}}, 0.0f), late({{1.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.set_nonfinite(NonFinite::error);
  optimizer.step();
  std::vector<Parameter> joining = late.parameters();
  joining[0].name = "late";
  optimizer.add_parameters(joining);
  EXPECT_TRUE(names(complaint(optimizer), 1, 1));
  optimizer.step();
  EXPECT_TRUE(names(complaint(optimizer), 1, 1)) << "the settings are kept";
  EXPECT_EQ(late.values[0][0], 0.0f);
  EXPECT_EQ(optimizer.skipped_steps(), 2);
}

TEST(NonFinite, ClippingByNormSkipsTooAndReportsTheInfiniteNorm) {
  FlatModel model({{1.0f, kInf}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 1.0}, .nonfinite = NonFinite::skip});
  optimizer.step();
  EXPECT_EQ(model.values[0][0], 0.0f);
  EXPECT_EQ(optimizer.grad_norm(), double{kInf});
  model.grads[0][1] = 0.0f;
  optimizer.step();
  EXPECT_EQ(model.values[0][0], -static_cast<float>(1 / (1 + 1e-6)));
  EXPECT_EQ(optimizer.grad_norm(), 1.0);
}

}  // namespace
}  // namespace onepass::test
