// rules.cpp - the table of measured rules, each beside its hand-written step if it has one.
#include "bench/cases/rules.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <vector>

#include "onepass/optimizer.hpp"
#include "onepass/parameter.hpp"

namespace onepass::bench {
namespace {

template <class Plain>
constexpr PlainStep by_hand(std::string_view name, unsigned nonnegative) {
  return {name,       Plain::kStates, nonnegative, std::is_same_v<Plain, plain::Centered>, Plain::kNumbers,
          Plain::move};
}

constexpr std::array kSteps{
    by_hand<plain::Sgd>("sgd", 0),           by_hand<plain::Momentum>("momentum", 0),
    by_hand<plain::RmsProp>("rmsprop", 0b1), by_hand<plain::Centered>("rmsprop_centered", 0b1),
    by_hand<plain::Adam>("adam", 0b10),      by_hand<plain::AmsGrad>("amsgrad", 0b110),
    by_hand<plain::AdamW>("adamw", 0b10)};

struct Setting {
  std::string_view hyperparameter;
  double value;
};

Rule preset(std::string_view rule, std::initializer_list<Setting> settings) {
  Rule made = Rule::named(rule);
  for (const Setting& one : settings) made.set(one.hyperparameter, one.value);
  return made;
}

/// Returns the rules that have a hand-written step, with the hyperparameters of that step, in the order of
/// kSteps.
std::array<Rule, kSteps.size()> rules_by_hand() {
  using namespace plain;
  const Setting lr{"lr", kLr}, eps{"eps", kEps}, alpha{"alpha", kAlpha};
  const Setting beta1{"beta1", kBeta1}, beta2{"beta2", kBeta2};
  return {preset("SGD", {lr}),
          preset("SGD", {lr, {"momentum", kMomentum}}),
          preset("RMSProp", {lr, alpha, eps}),
          preset("RMSProp", {lr, alpha, eps, {"centered", 1.0}}),
          preset("Adam", {lr, beta1, beta2, eps}),
          preset("Adam", {lr, beta1, beta2, eps, {"amsgrad", 1.0}}),
          preset("AdamW", {lr, beta1, beta2, eps, {"weight_decay", kDecay}})};
}

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

/// Returns whether a step of the rule passes over memory once, as the limit does.
bool has_one_pass(const Rule& rule) {
  float value = 0.0f, gradient = 0.0f;
  const std::vector<Parameter> matrix{
      {.name = "p", .value = Tensor(&value, 1), .grad = Tensor(&gradient, 1), .shape = {1, 1}}};
  const std::vector<StreamBytes> moved = Optimizer(rule, matrix, {.threads = 1}).traffic();
  return std::ranges::find(moved, "grad", &StreamBytes::name)->bytes == sizeof gradient;
}

std::vector<RuleChoice> make_choices() {
  const auto presets = rules_by_hand();
  std::vector<RuleChoice> choices;
  for (const Rule& rule : library_rules()) {
    if (!has_one_pass(rule)) continue;
    const std::size_t before = choices.size();
    for (std::size_t i = 0; i < kSteps.size(); ++i) {
      if (presets[i].name() != rule.name()) continue;
      choices.push_back({std::string(kSteps[i].name), presets[i], &kSteps[i]});
    }
    if (choices.size() == before) choices.push_back({lower_case(rule.name()), rule});
  }
  return choices;
}

}  // namespace

std::string_view RuleChoice::reference() const {
  return by_hand != nullptr ? "the step by hand" : "the step of a second optimizer";
}

std::span<const PlainStep> plain_steps() { return kSteps; }

bool is_measured(const RuleChoice& rule, const FormatChoice& format) {
  if (format.storage.states == States::float32) return true;
  const std::vector<Parameter> one{{.name = "p", .value = Tensor(nullptr, format.param, 1)}};
  const auto required =
      Optimizer::required_memory(rule.rule, one, {.storage = format.low(), .float32_storage = format.wide()});
  const auto& streams = required.front().streams;
  return std::ranges::none_of(rule.rule.state_names(), [&](const char* state) {
    const auto found = std::ranges::find(streams, std::string_view(state), &RequiredStream::name);
    return found->dtype == DType::float32;
  });
}

std::span<const RuleChoice> rule_choices() {
  static const std::vector<RuleChoice> choices = make_choices();
  return choices;
}

}  // namespace onepass::bench
