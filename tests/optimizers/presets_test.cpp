// presets_test.cpp - presets of implementations that run on GPUs alone, or are in no package, take the steps
// of their formulas in float64, and every preset has such a formula or golden values (golden/).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/named.hpp"
#include "support/rule_settings.hpp"

namespace onepass::test {
namespace {

using reference::Settings;

constexpr int kSteps = 20, kHalved = 7;
constexpr std::size_t kNumel = 5;
constexpr double kLr = 0.05;
/// Largest difference of float32, in terms of the largest parameter.
constexpr double kTolerance = 1e-5;
using Numbers = std::array<double, kNumel>;
constexpr Numbers kStart{0.5, -1.25, 0.0, 2.0, -0.375};

/// A tensor and the averages of its gradients.
struct Values {
  Numbers p = kStart;
  Numbers m{}, slow{}, v{};
};

/// What a formula is told. Everything else has the implementation's default in the formula itself.
struct Told {
  double lr = kLr;
  double weight_decay = 0.0;
  double warmup = 0.0;  ///< Of AdEMAMix: of alpha and of beta3.
};

using Formula = void (*)(const Told& told, int t, const Numbers& g, Values& values);

/// Moves the averages of Adam.
void move_averages(double beta1, double beta2, const Numbers& g, Values& values) {
  for (std::size_t i = 0; i < kNumel; ++i) {
    values.m[i] = beta1 * values.m[i] + (1.0 - beta1) * g[i];
    values.v[i] = beta2 * values.v[i] + (1.0 - beta2) * g[i] * g[i];
  }
}

/// apex.optimizers.FusedAdam: csrc/multi_tensor_adam.cu with ADAM_MODE_1, which adam_w_mode selects.
void apex_adam(const Told& told, int t, const Numbers& g, Values& values) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  move_averages(beta1, beta2, g, values);
  for (std::size_t i = 0; i < kNumel; ++i) {
    const double m = values.m[i] / (1.0 - std::pow(beta1, t)), v = values.v[i] / (1.0 - std::pow(beta2, t));
    values.p[i] -= told.lr * (m / (std::sqrt(v) + eps) + told.weight_decay * values.p[i]);
  }
}

/// bitsandbytes.optim.Adam and AdamW: csrc/kernels.cu, kOptimizer32bit2State, ADAM.
void bitsandbytes_adam(const Told& told, int t, const Numbers& g, Values& values) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  const double correction1 = 1.0 - std::pow(beta1, t), correction2 = std::sqrt(1.0 - std::pow(beta2, t));
  move_averages(beta1, beta2, g, values);
  for (std::size_t i = 0; i < kNumel; ++i) {
    const double step_size = -told.lr * correction2 / correction1;
    values.p[i] += step_size * (values.m[i] / (std::sqrt(values.v[i]) + eps * correction2));
    values.p[i] *= 1.0 - told.lr * told.weight_decay;
  }
}

/// bitsandbytes.optim.AdEMAMix: the same kernel, ADEMAMIX. `warmup` is its t_alpha and t_beta3.
void bitsandbytes_ademamix(const Told& told, int t, const Numbers& g, Values& values) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double beta3 = 0.9999, alpha = 5.0;
  if (told.warmup > 0.0) {
    const double done = t / told.warmup, ln1 = std::log(beta1), ln3 = std::log(beta3);
    beta3 = std::min(beta3, std::exp(ln1 * ln3 / ((1.0 - done) * ln3 + done * ln1)));
    alpha = std::min(alpha, t * alpha / told.warmup);
  }
  const double correction1 = 1.0 - std::pow(beta1, t), correction2 = std::sqrt(1.0 - std::pow(beta2, t));
  move_averages(beta1, beta2, g, values);
  for (std::size_t i = 0; i < kNumel; ++i) {
    values.slow[i] = beta3 * values.slow[i] + (1.0 - beta3) * g[i];
    const double mixed = values.m[i] / correction1 + alpha * values.slow[i];
    values.p[i] -= told.lr * (mixed / (std::sqrt(values.v[i]) / correction2 + eps));
    values.p[i] *= 1.0 - told.lr * told.weight_decay;
  }
}

/// The authors' AdEMAMix: apple/ml-ademamix, pytorch/ademamix.py.
void apple_ademamix(const Told& told, int t, const Numbers& g, Values& values) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double beta3 = 0.9999, alpha = 2.0;
  if (t < told.warmup) {
    const double done = t / told.warmup;
    const auto half_life = [](double beta) { return std::log(0.5) / std::log(beta + 1e-8) - 1.0; };
    const double between = (1.0 - done) * half_life(beta1) + done * half_life(beta3);
    beta3 = std::pow(0.5, 1.0 / (between + 1.0));
    alpha *= done;
  }
  const double correction1 = 1.0 - std::pow(beta1, t), correction2 = 1.0 - std::pow(beta2, t);
  move_averages(beta1, beta2, g, values);
  for (std::size_t i = 0; i < kNumel; ++i) {
    values.slow[i] = beta3 * values.slow[i] + (1.0 - beta3) * g[i];
    const double root = std::sqrt(values.v[i]) / std::sqrt(correction2) + eps;
    const double update = (values.m[i] / correction1 + alpha * values.slow[i]) / root;
    values.p[i] -= told.lr * (update + told.weight_decay * values.p[i]);
  }
}

double norm(const Numbers& numbers) {
  double squares = 0.0;
  for (const double number : numbers) squares += number * number;
  return std::sqrt(squares);
}

/// apex.optimizers.FusedLAMB without its clipping: csrc/multi_tensor_lamb.cu with MOMENT_MODE_1.
void apex_lamb(const Told& told, int t, const Numbers& g, Values& values, bool use_nvlamb) {
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-6;
  const double correction1 = 1.0 - std::pow(beta1, t), correction2 = 1.0 - std::pow(beta2, t);
  move_averages(beta1, beta2, g, values);
  Numbers update{};
  for (std::size_t i = 0; i < kNumel; ++i) {
    const double root = std::sqrt(values.v[i] / correction2) + eps;
    update[i] = values.m[i] / correction1 / root + told.weight_decay * values.p[i];
  }
  double ratio = told.lr;
  if (use_nvlamb || told.weight_decay != 0.0) {
    const double of_param = norm(values.p), of_update = norm(update);
    if (of_update != 0.0 && of_param != 0.0) ratio = told.lr * (of_param / of_update);
  }
  for (std::size_t i = 0; i < kNumel; ++i) values.p[i] -= ratio * update[i];
}
void plain_lamb(const Told& told, int t, const Numbers& g, Values& values) {
  apex_lamb(told, t, g, values, false);
}
void nvlamb(const Told& told, int t, const Numbers& g, Values& values) {
  apex_lamb(told, t, g, values, true);
}

/// A preset with the formula of its implementation.
struct Case {
  std::string name;
  std::string preset;
  Told told;
  double default_lr, default_decay;  ///< Of the implementation.
  Formula formula;

  friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }
};

std::vector<Case> cases() {
  const Told decays{.weight_decay = 0.5}, keeps{}, warms_up{.weight_decay = 0.5, .warmup = 8.0};
  return {
      {"AdamApex", "Adam.apex", decays, 1e-3, 0.0, &apex_adam},
      {"AdamBitsandbytes", "Adam.bitsandbytes", decays, 1e-3, 0.0, &bitsandbytes_adam},
      {"AdamWBitsandbytes", "AdamW.bitsandbytes", decays, 1e-3, 1e-2, &bitsandbytes_adam},
      {"AdEMAMixApple", "AdEMAMix.apple", decays, 1e-3, 0.0, &apple_ademamix},
      {"AdEMAMixAppleWarmUp", "AdEMAMix.apple", warms_up, 1e-3, 0.0, &apple_ademamix},
      {"AdEMAMixBitsandbytes", "AdEMAMix.bitsandbytes", decays, 1e-3, 1e-2, &bitsandbytes_ademamix},
      {"AdEMAMixBitsandbytesWarmUp", "AdEMAMix.bitsandbytes", warms_up, 1e-3, 1e-2, &bitsandbytes_ademamix},
      {"LAMBApex", "LAMB.apex", decays, 1e-3, 0.01, &plain_lamb},
      {"LAMBApexUndecayed", "LAMB.apex", keeps, 1e-3, 0.01, &plain_lamb},
      {"LAMBNvlamb", "LAMB.nvlamb", decays, 1e-3, 0.01, &nvlamb},
      {"LAMBNvlambUndecayed", "LAMB.nvlamb", keeps, 1e-3, 0.01, &nvlamb}};
}

/// Returns the gradients of a step, exact in float32. The third element has none before step 4.
Numbers gradients(int t) {
  Numbers g{};
  constexpr Numbers kScales{4.0, 0.5, 1.0, 0.05, 0.003};
  for (std::size_t i = 0; i < kNumel; ++i) {
    const double drawn = 0.4 + std::cos(1.7 * t + 2.3 * static_cast<double>(i));
    g[i] = i == 2 && t < 4 ? 0.0 : static_cast<double>(static_cast<float>(kScales[i] * drawn));
  }
  return g;
}

/// Returns the parameters after each step of the library.
std::vector<Numbers> steps_of(Rule rule, const Told& told) {
  rule.set("lr", told.lr);
  rule.set("weight_decay", told.weight_decay);
  for (const char* const name : {"alpha_warmup", "beta3_warmup"}) {
    if (rule.has(name)) rule.set(name, told.warmup);
  }
  std::vector<float> value(kStart.begin(), kStart.end()), grad(kNumel);
  Optimizer optimizer(rule, std::vector<Parameter>{{"weight", std::span(value), std::span(grad)}});
  std::vector<Numbers> steps;
  for (int t = 1; t <= kSteps; ++t) {
    if (t == kHalved) {
      rule.set("lr", told.lr / 2.0);
      optimizer.set_rule(rule);
    }
    std::ranges::copy(gradients(t), grad.begin());
    optimizer.step();
    std::ranges::copy(value, steps.emplace_back().begin());
  }
  return steps;
}

/// Returns the parameters after each step of a formula.
std::vector<Numbers> steps_of(Formula formula, Told told) {
  Values values;
  std::vector<Numbers> steps;
  for (int t = 1; t <= kSteps; ++t) {
    if (t == kHalved) told.lr /= 2.0;
    formula(told, t, gradients(t), values);
    steps.push_back(values.p);
  }
  return steps;
}

/// Returns the largest difference between two runs, in terms of the largest number of the second one's step.
double distance(const std::vector<Numbers>& a, const std::vector<Numbers>& b) {
  double most = 0.0;
  for (std::size_t step = 0; step < b.size(); ++step) {
    double largest = 0.0, difference = 0.0;
    for (std::size_t i = 0; i < kNumel; ++i) {
      largest = std::max(largest, std::fabs(b[step][i]));
      difference = std::max(difference, std::fabs(a[step][i] - b[step][i]));
    }
    most = std::max(most, difference / largest);
  }
  return most;
}

class PresetFormula : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Presets, PresetFormula, testing::ValuesIn(cases()), by_name);

TEST_P(PresetFormula, TakesTheStepsOfItsImplementation) {
  const Case& one = GetParam();
  const Rule rule = Rule::named(one.preset);
  EXPECT_EQ(rule.get("lr"), one.default_lr);
  EXPECT_EQ(rule.get("weight_decay"), one.default_decay);
  EXPECT_LT(distance(steps_of(rule, one.told), steps_of(one.formula, one.told)), kTolerance);
}

TEST(PresetFormulas, TellEachPresetFromTheDefaultsOfItsRule) {
  std::set<std::string> differing, told_apart;
  for (const Case& one : cases()) {
    const Rule rule = Rule::named(one.preset), usual = Rule::named(rule.name());
    if (rule == usual) continue;
    differing.insert(one.preset);
    const double apart = distance(steps_of(usual, one.told), steps_of(one.formula, one.told));
    if (apart > 10.0 * kTolerance) told_apart.insert(one.preset);
  }
  EXPECT_EQ(told_apart, differing);
  EXPECT_GE(differing.size(), 5u);
}

/// The presets that the files of golden values name.
std::set<std::string> golden_presets() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(ONEPASS_OPTIMIZERS_GOLDEN)) {
    if (entry.path().extension() != ".txt") continue;
    std::ifstream file(entry.path());
    for (std::string text; std::getline(file, text);) {
      std::istringstream line(text);
      std::string word, preset;
      if (line >> word >> preset && word == "preset")
        names.insert(entry.path().stem().string() + "." + preset);
    }
  }
  return names;
}

TEST(Presets, AreAllHeldToAFormulaOrToGoldenValues) {
  std::set<std::string> held = golden_presets(), listed;
  for (const Case& one : cases()) held.insert(one.preset);
  for (const Rule& rule : library_rules()) {
    for (const Preset& one : rule.presets()) listed.insert(std::string(rule.name()) + "." + one.name);
  }
  EXPECT_EQ(held, listed);
}

}  // namespace
}  // namespace onepass::test
