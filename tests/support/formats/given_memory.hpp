// given_memory.hpp - steps optimizers whose streams lie in memory of the caller's, beside one with its own.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/formats/callers_memory.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// The streams that the caller gives.
struct Given {
  const char* text;
  bool (*chosen)(const std::string& name);
};

inline bool is_scales(const std::string& name) { return name.ends_with(".scales"); }

/// All of them, and choices that leave codes and their scales in different memory.
inline const std::vector<Given>& choices_of_given() {
  static const std::vector<Given> choices{
      {"all", [](const std::string&) { return true; }},
      {"scales, averages and counters",
       [](const std::string& name) { return is_scales(name) || name == "ema" || name == "step"; }},
      {"all but scales, averages and counters",
       [](const std::string& name) { return !is_scales(name) && name != "ema" && name != "step"; }}};
  return choices;
}

/// What a test of given memory varies besides the format.
struct GivenTrial {
  const RuleCase& rule;
  const FormatCase& format;
  Device device;
  Options options;
  bool moves = false;  ///< Whether everything moves before the third step.
};

/// The trained parameters, streams and counts as bytes.
struct Trained {
  std::vector<std::byte> bytes;
  std::vector<std::int64_t> steps;

  bool operator==(const Trained&) const = default;
};

/// Takes four steps with the streams that `given` chooses in memory of the caller's; null: with none.
inline Trained train_given(const GivenTrial& trial, const Given* given) {
  const FormatModel model(trial.format, trial.device, {100, 0, 33, 515, 2100});
  CallersMemory memory(trial.device);
  std::vector<Parameter> parameters = model.parameters();
  if (given != nullptr) {
    const auto required = Optimizer::required_memory(trial.rule.rule, parameters, trial.options);
    parameters = memory.give(parameters, required, Contents::first, given->chosen);
  }
  Optimizer optimizer = trial.rule.make(parameters, trial.options);
  for (int step = 1; step <= 4; ++step) {
    draw_gradients_of(parameters, step);
    if (trial.options.accumulates_gradients) optimizer.accumulate();
    if (step == 3 && trial.moves) optimizer.set_memory(parameters = memory.move(parameters));
    optimizer.step();
  }
  synchronize(trial.device);
  EXPECT_TRUE(memory.intact());
  EXPECT_TRUE(model.intact());
  Trained trained;
  const StateDict dict = optimizer.state_dict();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<std::byte> value = bytes_of(parameters[i].value);
    trained.bytes.insert(trained.bytes.end(), value.begin(), value.end());
    for (const SavedState& state : dict.parameters[i].states) {
      trained.bytes.insert(trained.bytes.end(), state.bytes.begin(), state.bytes.end());
    }
    trained.steps.push_back(dict.parameters[i].step);
  }
  return trained;
}

/// Expects that given memory changes no bit, whether it moves or not. `thorough`: in every choice of streams,
/// and with gradients that are accumulated.
inline void expect_bits_of_own_memory(GivenTrial trial, bool thorough) {
  for (const bool accumulates : {false, true}) {
    if (accumulates && !thorough) return;
    trial.options.accumulates_gradients = accumulates;
    trial.moves = false;
    const Trained wanted = train_given(trial, nullptr);
    for (const Given& given : choices_of_given()) {
      SCOPED_TRACE(trial.rule.name + " in " + trial.format.name + ", given " + given.text +
                   (accumulates ? ", accumulated" : ""));
      trial.moves = !trial.moves;
      ASSERT_EQ(wanted, train_given(trial, &given));
      if (!thorough) break;
    }
  }
}

}  // namespace onepass::test
