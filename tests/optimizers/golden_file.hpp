// golden_file.hpp - reads the files that golden/make_golden.py writes: what other implementations made of the
// same tensors in float64.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reference/settings.hpp"

namespace onepass::test {

constexpr std::int64_t kGoldenSteps = 100, kLate = 4;
constexpr std::array kTensors{"early", "late"};

/// What a tensor's parameter or state is after a step; step 0 is before the first.
struct Row {
  std::int64_t step = 0;
  std::size_t tensor = 0;
  std::string stream;
  std::vector<double> values;  ///< One for each element, or for each row or column of a matrix.
};

struct GoldenRun {
  std::string name;  ///< "Adam_amsgrad"
  std::string rule;
  std::string preset;  ///< Empty, or the name of the preset that the other settings change.
  reference::Settings settings;
  reference::Settings
      defaults;  ///< What the implementation has for learning rate and decay if it is not told.
  std::int64_t new_lr_at = kGoldenSteps + 1;  ///< Step from which on the learning rate is new_lr.
  double new_lr = 0.0;
  std::array<std::vector<std::int64_t>, kTensors.size()> shapes;  ///< Empty for a vector.
  std::vector<Row> rows;

  /// Returns "Adam", or "LAMB.optax".
  [[nodiscard]] std::string full_name() const { return preset.empty() ? rule : rule + "." + preset; }

  /// Returns the number of elements of a tensor.
  [[nodiscard]] std::size_t numel(std::size_t tensor) const {
    for (const Row& row : rows) {
      if (row.tensor == tensor && row.stream == "p") return row.values.size();
    }
    return 0;
  }

  friend std::ostream& operator<<(std::ostream& out, const GoldenRun& one) { return out << one.name; }
};

inline std::vector<double> numbers_in(std::istringstream& line) {
  std::vector<double> all;
  for (std::string word; line >> word;) all.push_back(std::strtod(word.c_str(), nullptr));
  return all;
}

inline reference::Settings settings_in(std::istringstream& line) {
  reference::Settings settings;
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

inline std::size_t tensor_called(const std::string& name) { return name == kTensors[0] ? 0 : 1; }

/// Reads a line that does not begin a case.
inline void read_line(const std::string& first, std::istringstream& line, GoldenRun& run) {
  std::string word;
  if (first == "preset") {
    line >> run.preset;
  } else if (first == "settings") {
    run.settings = settings_in(line);
  } else if (first == "defaults") {
    run.defaults = settings_in(line);
  } else if (first == "lr") {
    line >> run.new_lr_at >> run.new_lr;
  } else if (first == "shape") {
    line >> word;
    for (std::int64_t size = 0; line >> size;) run.shapes[tensor_called(word)].push_back(size);
  } else if (first != "source") {
    Row row{.step = std::stoll(first), .tensor = 0, .stream = {}, .values = {}};
    line >> word >> row.stream;
    row.tensor = tensor_called(word);
    row.values = numbers_in(line);
    run.rows.push_back(std::move(row));
  }
}

/// The cases of a rule.
inline std::vector<GoldenRun> runs_of(const std::filesystem::path& folder, const std::string& rule) {
  std::vector<GoldenRun> runs;
  std::ifstream file(folder / (rule + ".txt"));
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string word;
    line >> word;
    if (word != "case") {
      read_line(word, line, runs.back());
      continue;
    }
    line >> word;
    runs.emplace_back();
    runs.back().name = rule + "_" + word;
    runs.back().rule = rule;
  }
  return runs;
}

/// The rules that have a file.
inline std::set<std::string> golden_rules(const std::filesystem::path& folder) {
  std::set<std::string> rules;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path& path = entry.path();
    const bool rule =
        path.extension() == ".txt" && path.stem() != "gradients" && path.stem() != "requirements";
    if (rule) rules.insert(path.stem().string());
  }
  return rules;
}

inline std::vector<GoldenRun> golden_runs(const std::filesystem::path& folder) {
  std::vector<GoldenRun> all;
  for (const std::string& rule : golden_rules(folder)) {
    for (GoldenRun& run : runs_of(folder, rule)) all.push_back(std::move(run));
  }
  return all;
}

/// The gradients of a step; those of a tensor that takes no part are none.
using StepGradients = std::array<std::vector<float>, kTensors.size()>;

/// Reads the gradients of each step. `numel`: the number of elements of the first tensor.
inline std::vector<StepGradients> read_gradients(const std::filesystem::path& folder, std::size_t numel) {
  std::vector<StepGradients> steps;
  std::ifstream file(folder / "gradients.txt");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    steps.emplace_back();
    for (const double g : numbers_in(line)) {
      std::vector<float>& early = steps.back()[0];
      (early.size() < numel ? early : steps.back()[1]).push_back(static_cast<float>(g));
    }
  }
  return steps;
}

}  // namespace onepass::test
