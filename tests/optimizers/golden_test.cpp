// golden_test.cpp - every rule and its reference agree with another implementation, in float64, of the same
// rule: golden/RULE.txt, which golden/make_golden.py wrote.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "optimizers/trial.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;
using reference::Settings;

constexpr std::int64_t kSteps = 100, kLate = 4;
constexpr std::size_t kNumel = 5;
constexpr std::array kTensors{"early", "late"};
/// Largest relative difference between two computations in float64. They round differently, 100 times or
/// more.
constexpr double kFloat64 = 1e-11;
/// Largest difference of float32, in terms of the largest number of the tensor.
constexpr double kFloat32 = 1e-5;

/// Rules whose step depends on earlier learning rates. Their references know one rate alone.
constexpr std::array<std::string_view, 4> kRememberRates{"ASGD", "LaProp", "ScheduleFreeSGD",
                                                         "ScheduleFreeAdamW"};

/// What a tensor's parameter or state is after a step; step 0 is before the first.
struct Row {
  std::int64_t step = 0;
  std::size_t tensor = 0;
  std::string stream;
  std::vector<double> values;
};

struct GoldenRun {
  std::string name;  ///< "Adam_amsgrad"
  std::string rule;
  std::string preset;  ///< Empty, or the name of the preset that the other settings change.
  Settings settings;
  Settings defaults;  ///< What the other implementation has for learning rate and decay if it is not told.
  std::int64_t new_lr_at = kSteps + 1;  ///< Step from which on the learning rate is new_lr.
  double new_lr = 0.0;
  std::vector<Row> rows;

  /// Returns "Adam", or "LAMB.optax".
  [[nodiscard]] std::string full_name() const { return preset.empty() ? rule : rule + "." + preset; }

  friend std::ostream& operator<<(std::ostream& out, const GoldenRun& one) { return out << one.name; }
};

const std::filesystem::path kFolder = ONEPASS_OPTIMIZERS_GOLDEN;

std::vector<double> numbers(std::istringstream& line) {
  std::vector<double> all;
  for (std::string word; line >> word;) all.push_back(std::strtod(word.c_str(), nullptr));
  return all;
}

Settings settings_in(std::istringstream& line) {
  Settings settings;
  for (std::string word; line >> word;) {
    const std::size_t equals = word.find('=');
    char* end = nullptr;
    const double number = std::strtod(word.c_str() + equals + 1, &end);
    if (*end == '\0') {
      settings.set(word.substr(0, equals), number);
    } else {
      settings.set(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  return settings;
}

std::vector<GoldenRun> runs_of(const std::string& rule) {
  std::vector<GoldenRun> runs;
  std::ifstream file(kFolder / (rule + ".txt"));
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string word;
    line >> word;
    if (word == "case") {
      line >> word;
      runs.push_back({.name = rule + "_" + word, .rule = rule, .settings = {}, .defaults = {}, .rows = {}});
    } else if (word == "preset") {
      line >> runs.back().preset;
    } else if (word == "settings") {
      runs.back().settings = settings_in(line);
    } else if (word == "defaults") {
      runs.back().defaults = settings_in(line);
    } else if (word == "lr") {
      line >> runs.back().new_lr_at >> runs.back().new_lr;
    } else if (word != "source") {
      Row row{.step = std::stoll(word), .tensor = 0, .stream = {}, .values = {}};
      line >> word >> row.stream;
      row.tensor = word == kTensors[0] ? 0 : 1;
      row.values = numbers(line);
      runs.back().rows.push_back(std::move(row));
    }
  }
  return runs;
}

/// The rules that have a file.
std::set<std::string> golden_rules() {
  std::set<std::string> rules;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::filesystem::path& path = entry.path();
    const bool rule =
        path.extension() == ".txt" && path.stem() != "gradients" && path.stem() != "requirements";
    if (rule) rules.insert(path.stem().string());
  }
  return rules;
}

std::vector<GoldenRun> golden_runs() {
  std::vector<GoldenRun> all;
  for (const std::string& rule : golden_rules()) {
    for (GoldenRun& run : runs_of(rule)) all.push_back(std::move(run));
  }
  return all;
}

/// The gradients of each step and tensor; those of a tensor that takes no part are none.
using Gradients = std::vector<std::array<std::vector<float>, kTensors.size()>>;

Gradients read_gradients() {
  Gradients steps;
  std::ifstream file(kFolder / "gradients.txt");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    steps.emplace_back();
    for (const double g : numbers(line)) {
      std::vector<float>& early = steps.back()[0];
      (early.size() < kNumel ? early : steps.back()[1]).push_back(static_cast<float>(g));
    }
  }
  return steps;
}

/// The library and the reference on the tensors of a run.
class Replay {
 public:
  explicit Replay(const GoldenRun& run)
      : run_(run),
        rule_(rule_with(run.full_name(), run.settings)),
        reference_(reference_step(rule_)),
        optimizer_(rule_, parameters()) {
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      for (const char* name : optimizer_.state_names(kTensors[tensor])) states_[tensor].emplace_back(name);
    }
    for (const Row& row : run.rows) {
      if (row.step == 0) start(row);
    }
  }

  /// Takes one step with these gradients.
  void step(const std::array<std::vector<float>, kTensors.size()>& gradients) {
    ++step_;
    if (step_ == run_.new_lr_at) {
      rule_.set("lr", run_.new_lr);
      reference_ = reference_step(rule_);
      optimizer_.set_rule(rule_);
    }
    std::vector<Tensor> tensors;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      grads_[tensor] = gradients[tensor];
      grads_[tensor].resize(kNumel);
      tensors.emplace_back(gradients[tensor].empty() ? nullptr : grads_[tensor].data(), kNumel);
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

  [[nodiscard]] Number reference_number(const Row& row, std::size_t i) const {
    const Element& e = elements_[row.tensor][i];
    if (row.stream == "p") return e.p;
    return row.stream == "z" ? e.p + e.state[index(row, "z_minus_y")] : e.state[index(row, row.stream)];
  }

  [[nodiscard]] double library_number(const Row& row, std::size_t i) {
    if (row.stream != "z") return stream(row, row.stream)[i];
    return static_cast<double>(stream(row, "p")[i]) + stream(row, "z_minus_y")[i];
  }

 private:
  std::vector<Parameter> parameters() {
    std::vector<Parameter> all;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      all.push_back({kTensors[tensor], std::span(values_[tensor]), std::span(grads_[tensor])});
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
    for (std::size_t i = 0; i < kNumel; ++i) {
      stream(row, row.stream)[i] = static_cast<float>(row.values[i]);
      Element& e = elements_[row.tensor][i];
      (row.stream == "p" ? e.p : e.state[index(row, row.stream)]) = Number(row.values[i]);
    }
  }

  void step_reference(const std::array<std::vector<float>, kTensors.size()>& gradients) {
    std::array<std::vector<Number>, kTensors.size()> numbers;
    std::vector<reference::TensorStep> taking_part;
    for (std::size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      if (gradients[tensor].empty()) continue;
      for (Element& e : elements_[tensor]) e.carry();
      numbers[tensor].assign(gradients[tensor].begin(), gradients[tensor].end());
      taking_part.push_back({tensor == 0 ? step_ : step_ - kLate + 1, elements_[tensor], numbers[tensor]});
    }
    reference_(taking_part);
  }

  using Floats = std::array<std::vector<float>, kTensors.size()>;
  const GoldenRun& run_;
  Rule rule_;
  reference::Step reference_;
  std::int64_t step_ = 0;
  Floats values_{std::vector<float>(kNumel), std::vector<float>(kNumel)};
  Floats grads_ = values_;
  Optimizer optimizer_;
  std::array<std::vector<std::string>, kTensors.size()> states_;
  std::array<std::array<Element, kNumel>, kTensors.size()> elements_{};
};

class Golden : public testing::TestWithParam<GoldenRun> {
 protected:
  /// Calls check(replay, row, i) for each number of the file.
  template <class Check>
  void replay(Check check) {
    const GoldenRun& run = GetParam();
    const std::vector<std::string_view> known = [] {
      std::vector<std::string_view> names;
      for (const Rule& rule : library_rules()) names.push_back(rule.name());
      return names;
    }();
    if (std::find(known.begin(), known.end(), run.rule) == known.end()) {
      GTEST_SKIP() << "the library has no rule " << run.rule;
    }
    Replay replay(run);
    const Gradients gradients = read_gradients();
    ASSERT_EQ(gradients.size(), static_cast<std::size_t>(kSteps));
    std::size_t compared = 0;
    for (std::int64_t step = 1; step <= kSteps; ++step) {
      replay.step(gradients[static_cast<std::size_t>(step - 1)]);
      for (const Row& row : run.rows) {
        if (row.step != step) continue;
        ASSERT_EQ(row.values.size(), kNumel);
        for (std::size_t i = 0; i < kNumel; ++i) check(replay, row, i);
        ++compared;
      }
    }
    ASSERT_GE(compared, 8u) << "the file has too few rows";
  }

  static std::string place(const Row& row, std::size_t i) {
    return "step " + std::to_string(row.step) + ", " + kTensors[row.tensor] + ", " + row.stream + "[" +
           std::to_string(i) + "]";
  }
};

INSTANTIATE_TEST_SUITE_P(Rules, Golden, testing::ValuesIn(golden_runs()), by_name);

TEST_P(Golden, ReferenceDiffersByFloat64sRoundingOnly) {
  replay([](Replay& replay, const Row& row, std::size_t i) {
    if (!replay.has_reference()) return;
    const Number number = replay.reference_number(row, i);
    EXPECT_NEAR(number.value, row.values[i], kFloat64 * std::fabs(row.values[i])) << place(row, i);
  });
}

// The bound of coupled decay and small denominators grows beyond what float32 comes to, so that a cap helps
// it.
TEST_P(Golden, LibraryDiffersByFloat32sRoundingOnly) {
  replay([](Replay& replay, const Row& row, std::size_t i) {
    double largest = 0.0;
    for (const double value : row.values) largest = std::max(largest, std::fabs(value));
    double tolerance = kFloat32 * largest;
    if (replay.has_reference()) tolerance = std::min(tolerance, replay.reference_number(row, i).tolerance());
    EXPECT_NEAR(replay.library_number(row, i), row.values[i], tolerance) << place(row, i);
  });
}

TEST(GoldenFiles, PresetsHaveTheLearningRateAndDecayOfTheirImplementation) {
  std::size_t compared = 0;
  for (const GoldenRun& run : golden_runs()) {
    if (run.preset.empty()) continue;
    const Rule rule = Rule::named(run.full_name());
    for (const auto& [name, value] : run.defaults.values()) {
      EXPECT_EQ(rule.get(name), value.number) << run.full_name() << " " << name;
      ++compared;
    }
  }
  EXPECT_GE(compared, 10u);
}

TEST(GoldenFiles, EveryRuleOfTheLibraryHasOne) {
  for (const Rule& rule : library_rules()) {
    EXPECT_FALSE(runs_of(std::string(rule.name())).empty()) << kFolder << " has no case of " << rule.name();
  }
}

}  // namespace
}  // namespace onepass::test
