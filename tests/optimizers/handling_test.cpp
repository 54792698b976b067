// handling_test.cpp - with all gradient handling turned on, every rule still agrees with its float64
// reference.
#include <gtest/gtest.h>

#include "optimizers/trial.hpp"
#include "reference/gradients.hpp"
#include "support/named.hpp"
#include "support/numbers/sizes.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;

/// Every option of every rule, with each kind of L1.
std::vector<RuleCase> all_cases() {
  std::vector<RuleCase> all;
  for (const L1 mode : {L1::proximal, L1::subgradient}) {
    for (RuleCase& one : with_l1(rule_cases(), mode)) {
      one.name += mode == L1::proximal ? "_proximal" : "_subgradient";
      all.push_back(std::move(one));
    }
  }
  return all;
}

std::vector<Shape> several_shapes() {
  std::vector<Shape> shapes{{.numel = 0}, {.numel = 3000, .grad_misalignment = 1}};
  for (const std::int64_t numel : awkward_sizes(64)) {
    shapes.push_back({.numel = numel, .value_misalignment = static_cast<int>(shapes.size() % 4)});
  }
  return shapes;
}

constexpr float kScale = 96.0f;  // not a power of two, so dividing by it rounds
constexpr double kMaxNorm = 20.0;
constexpr double kMaxValue = 0.3;

/// Returns the gradients of each tensor as the rule receives them.
std::vector<std::vector<Number>> handled(const std::vector<std::vector<float>>& gradients) {
  const auto norm = static_cast<double>(reference::norm(gradients, reference::Norm::l2)) / kScale;
  const reference::Handling handling{.loss_scale = kScale,
                                     .coefficient = reference::clip_coefficient(kMaxNorm, norm, true),
                                     .limit = kMaxValue};
  EXPECT_LT(handling.coefficient, 0.9) << "nothing is clipped";
  std::vector<std::vector<Number>> seen;
  for (const std::vector<float>& gradient : gradients) {
    seen.emplace_back();
    for (const float g : gradient) seen.back().push_back(handling(Number(g)));
  }
  return seen;
}

class Handling : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, Handling, testing::ValuesIn(all_cases()), by_name);

TEST_P(Handling, EveryStepIsWithinEightUlpOfItsTerms) {
  Trial run(GetParam().rule, several_shapes(), {});
  run.optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = kMaxNorm},
                                       .clip_value = kMaxValue,
                                       .nonfinite = NonFinite::skip,
                                       .loss_scale = kScale,
                                       .zero_grad = true});
  for (std::int64_t t = 1; t <= 12; ++t) {
    std::vector<std::vector<Element>> expected = run.elements();
    run.model.draw_finite_gradients(t);
    std::vector<std::vector<float>> gradients;
    for (std::size_t tensor = 0; tensor < run.model.size(); ++tensor) {
      for (float& g : run.model.grad(tensor).host()) g *= kScale;
      gradients.push_back(run.model.grad(tensor).read());
    }
    run.optimizer.step();
    run.step_reference(t, expected, handled(gradients));
    for (std::size_t tensor = 0; tensor < expected.size(); ++tensor) {
      ASSERT_TRUE(agree(run.streams[tensor], expected[tensor], one_step_tolerance))
          << "step " << t << ", tensor " << tensor;
    }
  }
  EXPECT_EQ(run.optimizer.skipped_steps(), 0);
  EXPECT_TRUE(run.model.intact());
}

}  // namespace
}  // namespace onepass::test
