// make_rule_ops.hpp - makes the RuleOps of a rule. One generated .cpp for each rule includes it
// (rule.cpp.in).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "host/cpu/axes.hpp"
#include "host/cpu/isa.hpp"
#include "host/cpu/prepare.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/element.hpp"

namespace onepass {

/// Copies a rule out of bytes that need not be aligned.
template <class Rule>
Rule rule_at(const std::byte* bytes) {
  Rule rule;
  std::memcpy(&rule, bytes, sizeof rule);
  return rule;
}

/// The penalty that a rule adds to the loss. Decoupled weight decay is not a term of the loss.
template <class Rule>
step::Penalty penalty_of(const Rule& rule) {
  const bool coupled = rule.weight_decay_mode == WeightDecay::coupled;
  return {coupled ? 0.5 * rule.weight_decay : 0.0, rule.l1};
}

/// RuleOps::driven_variant. Any momentum above 0 selects the variant that has one.
template <class Rule>
std::optional<unsigned> driven_variant(Rule rule) {
  if (!step::drive_momentum(rule, 0.5)) return std::nullopt;
  return rule.variant();
}

/// Takes down the hyperparameters that a rule describes.
template <class Rule>
class HyperparameterList {
 public:
  void operator()(const char* name, double Rule::*member, const Range& range, const char* meaning) {
    add(name, member, meaning, Hyperparameter::Kind::number).range = range;
  }
  void operator()(const char* name, bool Rule::*member, const char* meaning) {
    add(name, member, meaning, Hyperparameter::Kind::flag);
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void operator()(const char* name, Enum Rule::*member, const char* meaning) {
    static_assert(sizeof(Enum) == sizeof(unsigned));
    add(name, member, meaning, Hyperparameter::Kind::choice).choices = rule::kChoices<Enum>;
  }
  [[nodiscard]] std::vector<Hyperparameter> take() { return std::move(listed_); }

 private:
  template <class Member>
  Hyperparameter& add(const char* name, Member Rule::*member, const char* meaning,
                      Hyperparameter::Kind kind) {
    const Rule rule{};
    const auto* const first = reinterpret_cast<const std::byte*>(&rule);
    const auto* const at = reinterpret_cast<const std::byte*>(&(rule.*member));
    return listed_.emplace_back(
        Hyperparameter{name, meaning, kind, {}, {}, static_cast<std::size_t>(at - first)});
  }

  std::vector<Hyperparameter> listed_;
};

template <class Rule>
std::vector<Hyperparameter> hyperparameters_of() {
  HyperparameterList<Rule> list;
  Rule::describe(list);
  rule::describe_shared<Rule>(list);
  return list.take();
}

/// Takes down the presets that a rule lists.
template <class Rule>
class PresetList {
 public:
  void operator()(const char* name, const Rule& preset, const char* meaning) {
    Preset& one = listed_.emplace_back(Preset{name, meaning, {}});
    std::memcpy(one.values.bytes, &preset, sizeof preset);
  }
  [[nodiscard]] std::vector<Preset> take() { return std::move(listed_); }

 private:
  std::vector<Preset> listed_;
};

template <class Rule>
std::vector<Preset> presets_of() {
  PresetList<Rule> list;
  if constexpr (requires { Rule::presets(list); }) Rule::presets(list);
  return list.take();
}

/// RuleOps::check.
template <class Rule>
void check_combination(const Rule& rule) {
  if constexpr (requires { rule.check(); }) rule.check();
}

/// Returns whether no number is Inf or NaN. Coefficients consist of floats and of flags, which are 0 or 1 and
/// read as finite floats. Those of a rule that has other numbers, doubles or pointers, are not read.
template <class Coefficients>
bool all_finite(const Coefficients& coefficients) {
  if (alignof(Coefficients) > alignof(float)) return true;
  std::array<float, sizeof(Coefficients) / sizeof(float)> numbers{};
  std::memcpy(numbers.data(), &coefficients, sizeof numbers);
  return std::ranges::all_of(numbers, [](float number) { return std::isfinite(number); });
}

/// RuleOps::has_finite_coefficients. Coefficients that depend on the step do so monotonically, or differ on
/// the first step, as SGD's do.
template <class Rule>
bool has_finite_coefficients(Rule rule, const Rates& rates) {
  rule.lr = rates.lr;
  if (rates.drives_momentum) step::drive_momentum(rule, rates.momentum);
  if (!all_finite(rule::Around::prepare(rule, {.factor = 1.0, .limit = 1.0f}, 1))) return false;
  return std::ranges::all_of(std::array<std::int64_t, 3>{1, 2, schedule::kMostSteps}, [&](std::int64_t step) {
    rule::ScalarsOf<Rule> scalars{};
    return all_finite(rule::prepared(rule, step, scalars));
  });
}

/// Calls compress() or expand() of a variant on each of `count` elements.
template <class Map, std::size_t... kState>
void map_states(Map map, float* const* states, std::size_t count, std::index_sequence<kState...>) {
  for (std::size_t i = 0; i < count; ++i) map(states[kState][i]...);
}

/// The names of a rule's scalars.
template <class Rule>
std::span<const char* const> scalars_of() {
  if constexpr (kScalarCount<Rule> != 0) {
    return Rule::kScalars;
  } else {
    return {};
  }
}

/// VariantOps::state_names.
template <class Variant>
inline constexpr auto kStateNames = [] {
  std::array<const char*, Variant::kStates.size() + static_cast<std::size_t>(kAxisCount<Variant>)> names{};
  std::ranges::copy(Variant::kStates, names.begin());
  if constexpr (kAxisCount<Variant> != 0) {
    std::ranges::transform(Variant::kAxes, names.begin() + Variant::kStates.size(), &rule::AxisState::name);
  }
  return names;
}();

template <class Rule, std::size_t kVariant>
VariantOps make_variant_ops() {
  using Variant = typename rule::Compiled<Rule>::template At<kVariant>;
  using Loops = rule::LoopsOf<Rule>;
  static_assert(kStateCount<Variant> <= static_cast<int>(step::kMaxStates));
  static_assert(kScalarCount<Rule> <= step::kMaxScalars);
  static_assert(kSumCount<Rule> <= static_cast<int>(step::kMaxSums));
  static_assert(kVariant >= Rule::Variants::kCount ||
                (kSumCount<Rule> != 0) == (rule::kMeasuredStreams<Variant> != 0));
  VariantOps ops{.states = Variant::kStates,
                 .state_names = kStateNames<Variant>,
                 .nonnegative = kNonnegativeStates<Variant>,
                 .float32 = kFloat32States<Variant>,
                 .decays = kStateDecays<Variant>,
                 .scalars = scalars_of<Rule>(),
                 .measured = rule::kMeasuredStreams<Variant>};
  if constexpr (kAxisCount<Variant> != 0) {
    static_assert(kAxisCount<Variant> <= static_cast<int>(step::kMaxAxes));
    ops.axes = Variant::kAxes;
    ops.axis_streams = {rule::kAxisRead<Variant, 0>, rule::kAxisRead<Variant, 1>};
    ops.cpu_axes = {cpu::axis_ops<Rule, Variant, 0>(), cpu::axis_ops<Rule, Variant, 1>()};
  }
  if constexpr (Compressible<Variant>) {
    using States = std::make_index_sequence<Variant::kStates.size()>;
    ops.compress = [](float* const* states, std::size_t count) {
      map_states([](auto&... state) { Variant::compress(state...); }, states, count, States{});
    };
    ops.expand = [](float* const* states, std::size_t count) {
      map_states([](auto&... state) { Variant::expand(state...); }, states, count, States{});
    };
  }
  const auto set = [&ops](Isa isa, const cpu::VariantLoops* loops) {
    ops.cpu_loops[static_cast<std::size_t>(isa)] = loops + kVariant;
  };
  set(Isa::baseline, cpu::update_loops<Loops, Isa::baseline>());
#if defined(ONEPASS_WIDE_LOOPS)
  set(Isa::avx2, cpu::update_loops<Loops, Isa::avx2>());
  set(Isa::avx512, cpu::update_loops<Loops, Isa::avx512>());
#endif
#if defined(ONEPASS_WITH_CUDA)
  ops.cuda = kernels::cuda_rule<Rule>().updates[kVariant];
  if (ops.measured != 0) ops.cuda_measure = kernels::cuda_rule<Rule>().measures[kVariant];
  if (!ops.axes.empty()) ops.cuda_axes = kernels::cuda_rule<Rule>().axes[kVariant];
#endif
  return ops;
}

/// The sweeps of a rule, which lie behind its variants.
template <class Rule, std::size_t... kSweep>
std::span<const SweepOps> sweeps_of(std::index_sequence<kSweep...> /*sweeps*/) {
  if constexpr (sizeof...(kSweep) == 0) {
    return {};
  } else {
    using Sweeps = rule::SweepsOf<Rule>;
    static const std::array<SweepOps, sizeof...(kSweep)> sweeps{SweepOps{
        Sweeps::template At<kSweep>::kName, make_variant_ops<Rule, Rule::Variants::kCount + kSweep>()}...};
    return sweeps;
  }
}

/// RuleOps::cpu_finish.
template <class Rule>
auto finish_of() -> void (*)(const step::Table& table) {
  if constexpr (kSumCount<Rule> != 0) {
    return &cpu::finish<Rule>;
  } else {
    return nullptr;
  }
}

template <class Rule, std::size_t... kVariant>
RuleOps make_rule_ops(std::index_sequence<kVariant...>) {
  static const std::array<VariantOps, sizeof...(kVariant)> variants{make_variant_ops<Rule, kVariant>()...};
  static_assert(offsetof(Rule, lr) == 0, "lr is the first member of a rule");
  static const std::vector<Hyperparameter> hyperparameters = hyperparameters_of<Rule>();
  static const std::vector<Preset> presets = presets_of<Rule>();
  RuleOps ops{.name = Rule::kName,
              .rule_bytes = sizeof(Rule),
              .coefficient_bytes = sizeof(rule::TensorCoefficients<Rule>),
              .hyperparameters = hyperparameters,
              .presets = presets,
              .matrix_bit = kMatrixBit<Rule>,
              .switchable = rule::kSwitchableBits<Rule>,
              .variant = [](const std::byte* rule) { return rule_at<Rule>(rule).variant(); },
              .check = [](const std::byte* rule) { check_combination(rule_at<Rule>(rule)); },
              .takes_sums = [](const std::byte* rule) { return rule::takes_sums(rule_at<Rule>(rule)); },
              .has_finite_coefficients =
                  [](const std::byte* rule, const Rates& rates) {
                    return has_finite_coefficients(rule_at<Rule>(rule), rates);
                  },
              .penalty = [](const std::byte* rule) { return penalty_of(rule_at<Rule>(rule)); },
              .driven_variant = [](const std::byte* rule) { return driven_variant(rule_at<Rule>(rule)); },
              .cpu_prepare = &cpu::prepare<Rule>,
              .cuda_prepare = {},
              .cpu_finish = finish_of<Rule>(),
              .cuda_finish = {},
              .sums_over_model = kSumsOverModel<Rule>,
              .variants = variants,
              .sweeps = sweeps_of<Rule>(std::make_index_sequence<rule::SweepsOf<Rule>::kCount>{})};
#if defined(ONEPASS_WITH_CUDA)
  ops.cuda_prepare = kernels::cuda_rule<Rule>().prepare;
  ops.cuda_finish = kernels::cuda_rule<Rule>().finish;
#endif
  return ops;
}

template <ElementwiseRule Rule>
RuleOps make_rule_ops() {
  return make_rule_ops<Rule>(std::make_index_sequence<Rule::Variants::kCount>{});
}

}  // namespace onepass
