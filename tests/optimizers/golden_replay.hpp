// golden_replay.hpp - takes the steps of a golden file with the library and with the reference, and compares
// both with the file.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "optimizers/golden_file.hpp"
#include "optimizers/trial.hpp"
#include "reference/matrices.hpp"

namespace onepass::test {

/// Largest relative difference between two computations in float64. They round differently, 100 times or
/// more.
constexpr double kFloat64 = 1e-11;
/// Largest difference of float32, in terms of the largest number of the tensor.
constexpr double kFloat32 = 1e-5;

/// Rules whose step depends on earlier learning rates. Their references know one rate alone.
constexpr std::array<std::string_view, 4> kRememberRates{"ASGD", "LaProp", "ScheduleFreeSGD",
                                                         "ScheduleFreeAdamW"};

/// The library and the reference on the tensors of a run.
class Replay {
  using Element = reference::Element;
  using Number = reference::Number;

 public:
  explicit Replay(const GoldenRun& run)
      : run_(run),
        rule_(rule_with(run.full_name(), run.settings)),
        reference_(reference_step(rule_)),
        values_{std::vector<float>(run.numel(0)), std::vector<float>(run.numel(1))},
        grads_(values_),
        optimizer_(rule_, parameters()) {
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      for (const char* name : optimizer_.state_names(kTensors[tensor])) states_[tensor].emplace_back(name);
      elements_[tensor].resize(run.numel(tensor));
    }
    for (const Row& row : run.rows) {
      if (row.step == 0) start(row);
    }
  }

  /// Takes one step with these gradients.
  void step(const StepGradients& gradients) {
    ++step_;
    if (step_ == run_.new_lr_at) {
      rule_.set("lr", run_.new_lr);
      reference_ = reference_step(rule_);
      optimizer_.set_rule(rule_);
    }
    std::vector<Tensor> tensors;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      grads_[tensor] = gradients[tensor];
      grads_[tensor].resize(values_[tensor].size());
      tensors.emplace_back(gradients[tensor].empty() ? nullptr : grads_[tensor].data(),
                           static_cast<std::int64_t>(grads_[tensor].size()));
    }
    step_reference(gradients);
    optimizer_.set_gradients(tensors);
    optimizer_.step();
  }

  /// Returns whether the reference has been told all that the steps so far depend on.
  [[nodiscard]] bool has_reference() const {
    const bool remembers =
        std::find(kRememberRates.begin(), kRememberRates.end(), run_.rule) != kRememberRates.end();
    return !remembers || step_ < run_.new_lr_at;
  }

  [[nodiscard]] std::size_t numel(const Row& row) const { return elements_[row.tensor].size(); }

  /// Returns how many numbers the library keeps of a row's stream.
  [[nodiscard]] std::size_t count(const Row& row) {
    if (row.stream == "p" || row.stream == "z") return numel(row);
    return static_cast<std::size_t>(optimizer_.state(kTensors[row.tensor], row.stream).numel);
  }

  /// Returns which number of a row is an element's: its own, or that of its row or column. There are other
  /// numbers of rows than of columns.
  [[nodiscard]] std::size_t place(const Row& row, std::size_t element) const {
    if (row.values.size() == numel(row)) return element;
    const reference::Matrices matrices(tensor_step(row.tensor, {}));
    const bool of_rows = row.values.size() == numel(row) / matrices.columns;
    return of_rows ? matrices.row(element) : matrices.column(element);
  }

  [[nodiscard]] Number reference_number(const Row& row, std::size_t element) const {
    const Element& e = elements_[row.tensor][element];
    if (row.stream == "p") return e.p;
    return row.stream == "z" ? e.p + e.state[index(row, "z_minus_y")] : e.state[index(row, row.stream)];
  }

  [[nodiscard]] double library_number(const Row& row, std::size_t element) {
    const std::size_t i = place(row, element);
    if (row.stream != "z") return stream(row, row.stream)[i];
    return static_cast<double>(stream(row, "p")[i]) + stream(row, "z_minus_y")[i];
  }

 private:
  std::vector<Parameter> parameters() {
    std::vector<Parameter> all;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      all.push_back({kTensors[tensor], std::span(values_[tensor]), std::span(grads_[tensor])});
      all.back().shape = run_.shapes[tensor];
    }
    return all;
  }

  [[nodiscard]] std::size_t index(const Row& row, const std::string& state) const {
    const std::vector<std::string>& names = states_[row.tensor];
    const auto found = std::find(names.begin(), names.end(), state);
    if (found == names.end()) throw std::runtime_error("the library has no state " + state);
    return static_cast<std::size_t>(found - names.begin());
  }

  float* stream(const Row& row, const std::string& name) {
    if (name == "p") return values_[row.tensor].data();
    return static_cast<float*>(
        optimizer_.state(kTensors[row.tensor], states_[row.tensor][index(row, name)]).data);
  }

  void start(const Row& row) {
    for (std::size_t i = 0; i < numel(row); ++i) {
      const double value = row.values[place(row, i)];
      stream(row, row.stream)[place(row, i)] = static_cast<float>(value);
      Element& e = elements_[row.tensor][i];
      (row.stream == "p" ? e.p : e.state[index(row, row.stream)]) = Number(value);
    }
  }

  [[nodiscard]] reference::TensorStep tensor_step(std::size_t tensor, std::span<const Number> numbers) const {
    const std::vector<std::int64_t>& shape = run_.shapes[tensor];
    reference::TensorStep step{tensor == 0 ? step_ : step_ - kLate + 1, {}, numbers};
    if (shape.size() < 2) return step;
    step.rows = static_cast<std::size_t>(shape[shape.size() - 2]);
    step.columns = static_cast<std::size_t>(shape.back());
    return step;
  }

  void step_reference(const StepGradients& gradients) {
    std::array<std::vector<Number>, kTensors.size()> numbers;
    std::vector<reference::TensorStep> taking_part;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      if (gradients[tensor].empty()) continue;
      for (Element& e : elements_[tensor]) e.carry();
      numbers[tensor].assign(gradients[tensor].begin(), gradients[tensor].end());
      taking_part.push_back(tensor_step(tensor, numbers[tensor]));
      taking_part.back().elements = elements_[tensor];
    }
    reference_(taking_part);
  }

  const GoldenRun& run_;
  Rule rule_;
  reference::Step reference_;
  std::int64_t step_ = 0;
  StepGradients values_, grads_;
  Optimizer optimizer_;
  std::array<std::vector<std::string>, kTensors.size()> states_;
  std::array<std::vector<Element>, kTensors.size()> elements_;
};

/// Calls check(replay, row, element) for each row of a run and each element of its tensor. `folder` has the
/// gradients.
template <class Check>
void replay_golden(const std::filesystem::path& folder, const GoldenRun& run, Check check) {
  const bool known =
      std::ranges::any_of(library_rules(), [&](const Rule& rule) { return rule.name() == run.rule; });
  if (!known) GTEST_SKIP() << "the library has no rule " << run.rule;
  Replay replay(run);
  const std::vector<StepGradients> gradients = read_gradients(folder, run.numel(0));
  ASSERT_EQ(gradients.size(), static_cast<std::size_t>(kGoldenSteps));
  std::size_t compared = 0;
  for (std::int64_t step = 1; step <= kGoldenSteps; ++step) {
    replay.step(gradients[static_cast<std::size_t>(step - 1)]);
    for (const Row& row : run.rows) {
      if (row.step != step) continue;
      ASSERT_EQ(row.values.size(), replay.count(row)) << row.stream;
      for (std::size_t element = 0; element < replay.numel(row); ++element) check(replay, row, element);
      ++compared;
    }
  }
  ASSERT_GE(compared, 8u) << "the file has too few rows";
}

inline std::string place_name(const Row& row, std::size_t element) {
  return "step " + std::to_string(row.step) + ", " + kTensors[row.tensor] + ", " + row.stream +
         " of element " + std::to_string(element);
}

inline void expect_reference_as_in(const std::filesystem::path& folder, const GoldenRun& run) {
  replay_golden(folder, run, [](Replay& replay, const Row& row, std::size_t element) {
    if (!replay.has_reference()) return;
    const double golden = row.values[replay.place(row, element)];
    EXPECT_NEAR(replay.reference_number(row, element).value, golden, kFloat64 * std::fabs(golden))
        << place_name(row, element);
  });
}

/// The bound of coupled decay and small denominators grows beyond what float32 comes to, so that a cap helps
/// it.
inline void expect_library_as_in(const std::filesystem::path& folder, const GoldenRun& run) {
  replay_golden(folder, run, [](Replay& replay, const Row& row, std::size_t element) {
    double largest = 0.0;
    for (const double value : row.values) largest = std::max(largest, std::fabs(value));
    double tolerance = kFloat32 * largest;
    if (replay.has_reference())
      tolerance = std::min(tolerance, replay.reference_number(row, element).tolerance());
    EXPECT_NEAR(replay.library_number(row, element), row.values[replay.place(row, element)], tolerance)
        << place_name(row, element);
  });
}

}  // namespace onepass::test
