// matrices_test.cpp - the rules that keep numbers for rows and columns agree with their float64 references,
// element by element, for matrices of every awkward shape.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "optimizers/trial.hpp"
#include "support/named.hpp"
#include "support/numbers/matrices.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;

constexpr std::int64_t kSteps = 20;

/// A library's optimizer of matrices, and what its reference needs of them.
class MatrixTrial {
 public:
  explicit MatrixTrial(const Rule& rule)
      : rule_(rule),
        model_(sizes_of()),
        optimizer_(rule, shaped(model_.parameters()), Options{.chunk_size = 64}),
        reference_(reference_step(rule)) {}

  Model& model() { return model_; }
  Optimizer& optimizer() { return optimizer_; }

  /// All elements, each with the numbers of its row and column.
  [[nodiscard]] std::vector<std::vector<Element>> elements() {
    std::vector<std::vector<Element>> all;
    for (std::size_t tensor = 0; tensor < model_.size(); ++tensor) {
      const std::vector<float> values = read(model_.value(tensor).tensor());
      std::vector<Element>& of = all.emplace_back(values.size());
      for (std::size_t i = 0; i < of.size(); ++i) of[i].p = Number(values[i]);
      const std::vector<std::vector<float>> states = states_of(tensor);
      for (std::size_t s = 0; s < states.size(); ++s) {
        for (std::size_t i = 0; i < of.size(); ++i) of[i].state[s] = Number(states[s][i]);
      }
    }
    return all;
  }

  void step_reference(std::int64_t t, std::vector<std::vector<Element>>& elements) {
    std::vector<std::vector<Number>> gradients;
    std::vector<reference::TensorStep> tensors;
    for (std::size_t tensor = 0; tensor < elements.size(); ++tensor) {
      const std::vector<float> floats = read(model_.grad(tensor).tensor());
      gradients.emplace_back(floats.begin(), floats.end());
    }
    for (std::size_t tensor = 0; tensor < elements.size(); ++tensor) {
      const Sides sides = Sides::of(matrix_shapes()[tensor]);
      tensors.push_back({t, elements[tensor], gradients[tensor], sides.rows, sides.columns});
    }
    reference_(tensors);
  }

  /// Compares the parameter and states of every element.
  [[nodiscard]] testing::AssertionResult agrees_with(const std::vector<std::vector<Element>>& expected,
                                                     double (*tolerance)(Number)) {
    const std::vector<std::vector<Element>> actual = elements();
    for (std::size_t tensor = 0; tensor < actual.size(); ++tensor) {
      const auto names = optimizer_.state_names(tensor_name(static_cast<int>(tensor)));
      for (std::size_t i = 0; i < actual[tensor].size(); ++i) {
        for (std::size_t s = 0; s <= names.size(); ++s) {
          const auto number = [&](const Element& e) { return s == 0 ? e.p : e.state[s - 1]; };
          const Number wanted = number(expected[tensor][i]);
          const auto is = static_cast<float>(number(actual[tensor][i]).value);
          if (agrees(is, wanted, tolerance(wanted))) continue;
          return testing::AssertionFailure()
                 << (s == 0 ? "p" : names[s - 1]) << "[" << i << "] of tensor " << tensor << " is "
                 << shown(is) << ", the reference has " << wanted.value << ", allowed " << tolerance(wanted);
        }
      }
    }
    return testing::AssertionSuccess();
  }

 private:
  /// The states of a tensor, with one number for each element.
  [[nodiscard]] std::vector<std::vector<float>> states_of(std::size_t tensor) {
    const std::string name = tensor_name(static_cast<int>(tensor));
    const auto numel = static_cast<std::size_t>(model_.shape(tensor).numel);
    std::vector<std::vector<float>> all;
    for (const std::string_view state : optimizer_.state_names(name)) {
      all.push_back(
          of_elements(Sides::of(matrix_shapes()[tensor]), state, read(optimizer_.state(name, state)), numel));
    }
    return all;
  }

  Rule rule_;
  Model model_;
  Optimizer optimizer_;
  reference::Step reference_;
};

/// Every option of the rules that tell matrices from vectors.
std::vector<RuleCase> matrix_cases() {
  std::vector<RuleCase> cases = rule_cases();
  std::erase_if(cases, [](const RuleCase& one) { return one.rule.ops().matrix_bit == 0; });
  return cases;
}

class Matrices : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, Matrices, testing::ValuesIn(matrix_cases()), by_name);

TEST_P(Matrices, EveryStepIsWithinEightUlpOfItsTerms) {
  MatrixTrial run(GetParam().rule);
  for (std::int64_t t = 1; t <= kSteps; ++t) {
    std::vector<std::vector<Element>> expected = run.elements();
    run.model().draw_gradients(t, kSteps);
    run.optimizer().step();
    run.step_reference(t, expected);
    ASSERT_TRUE(run.agrees_with(expected, one_step_tolerance)) << "step " << t;
  }
  EXPECT_TRUE(run.model().intact());
}

TEST_P(Matrices, TwentyStepsStayWithinTheDerivedBound) {
  MatrixTrial run(GetParam().rule);
  std::vector<std::vector<Element>> expected = run.elements();
  for (std::int64_t t = 1; t <= kSteps; ++t) {
    for (std::vector<Element>& elements : expected) {
      for (Element& e : elements) e.carry();
    }
    run.model().draw_gradients(t, kSteps);
    run.optimizer().step();
    run.step_reference(t, expected);
    ASSERT_TRUE(run.agrees_with(expected, run_tolerance)) << "step " << t;
  }
}

TEST(MatrixCases, CoverEveryRuleThatTellsMatricesFromVectors) {
  for (const Rule& rule : library_rules()) {
    if (rule.ops().matrix_bit == 0) continue;
    EXPECT_TRUE(std::ranges::any_of(matrix_rules(), [&](const Rule& one) {
      return one.name() == rule.name();
    })) << rule.name();
  }
}

}  // namespace
}  // namespace onepass::test
