// concept.hpp - the requirements on a rule that Optimizer can use.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "onepass/rule/around.hpp"
#include "onepass/rule/axes.hpp"
#include "onepass/rule/sums.hpp"

namespace onepass {

/// The compile-time variants of a rule, indexed by its variant() bits. A variant is a struct with
///
///     static constexpr std::array<const char*, N> kStates;       // names of its N states, which start at 0
///     static float update(const Rule::Coefficients& k, float p, float g, float&... states);
///
/// update() returns the update: the number that is subtracted from p.
template <class... Variant>
struct VariantList {
  static constexpr std::size_t kCount = sizeof...(Variant);
  template <std::size_t kIndex>
  using At = std::tuple_element_t<kIndex, std::tuple<Variant...>>;
};

/// Number of states of a variant.
template <class Variant>
inline constexpr int kStateCount = static_cast<int>(Variant::kStates.size());

/// Bit i is set if state i is never negative. A variant declares it as `static constexpr unsigned
/// kNonnegative`; without that, all states may be negative. Formats that quantise states store nonnegative
/// states with more precision.
template <class Variant>
inline constexpr unsigned kNonnegativeStates = 0;
template <class Variant>
requires requires { Variant::kNonnegative; }
inline constexpr unsigned kNonnegativeStates<Variant> = Variant::kNonnegative;

/// Bit i is set if state i has 4 bytes in every format: no storage may narrow it. A variant declares it as
/// `static constexpr unsigned kFloat32`; without that, Storage::states is for all its states.
template <class Variant>
inline constexpr unsigned kFloat32States = 0;
template <class Variant>
requires requires { Variant::kFloat32; }
inline constexpr unsigned kFloat32States<Variant> = Variant::kFloat32;

/// For each state of a variant, the name of the hyperparameter by which a step multiplies it ("beta1"), or
/// null if the state is no average. A variant declares them as `static constexpr std::array<const char*, N>
/// kDecays`; without that, none is an average. An optimizer refuses averages that are too long for their
/// storage.
template <class Variant>
inline constexpr std::array<const char*, Variant::kStates.size()> kStateDecays{};
template <class Variant>
requires requires { Variant::kDecays; }
inline constexpr std::array<const char*, Variant::kStates.size()> kStateDecays<Variant> = Variant::kDecays;

/// A variant that stores other numbers than its states in formats with less than 32 bits. It has
/// `static void compress(float&... states)`, applied before the states are stored, and the inverse `expand`,
/// applied after they are loaded. They get all states, also those that stay float32. Float32 formats use
/// neither.
template <class Variant>
concept Compressible = requires {
  &Variant::compress;
};

/// A rule may carry scalars: a few doubles for each tensor that follow from its steps so far and from nothing
/// that an element has, such as a product of momenta. It declares their names and a struct of as many
/// doubles:
///
///     static constexpr std::array kScalars{"mu_product"};
///     struct Scalars { double mu_product; };
///
/// They are 0 before the tensor's first step. prepare() gets them, changes them, and has no other way to do
/// so: a step that is skipped leaves them alone. Number of a rule's scalars:
template <class Rule>
inline constexpr std::size_t kScalarCount = 0;
template <class Rule>
requires requires { Rule::kScalars; }
inline constexpr std::size_t kScalarCount<Rule> = Rule::kScalars.size();

namespace rule {

/// Adds the variants of one list to those of another.
template <class First, class Second>
struct Joined;
template <class... First, class... Second>
struct Joined<VariantList<First...>, VariantList<Second...>> {
  using Type = VariantList<First..., Second...>;
};

template <class Rule>
struct SweepsOfRule {
  using Type = VariantList<>;
};
template <class Rule>
requires requires { typename Rule::Sweeps; }
struct SweepsOfRule<Rule> {
  using Type = typename Rule::Sweeps;
  static_assert(Rule::Variants::kCount == 1, "a rule with sweeps has one set of states");
};

/// The sweeps of a rule: Rule::Sweeps, or none.
template <class Rule>
using SweepsOf = typename SweepsOfRule<Rule>::Type;

/// All that loops and kernels of a rule are compiled for: its variants, and then its sweeps.
template <class Rule>
using Compiled = typename Joined<typename Rule::Variants, SweepsOf<Rule>>::Type;

/// Stands for the scalars of a rule that carries none.
struct NoScalars {};

template <class Rule>
struct ScalarsOfRule {
  using Type = NoScalars;
};
template <class Rule>
requires(kScalarCount<Rule> != 0) struct ScalarsOfRule<Rule> {
  using Type = typename Rule::Scalars;
  static_assert(sizeof(Type) == kScalarCount<Rule> * sizeof(double));
};

/// The scalars of a rule: Rule::Scalars, or an empty struct.
template <class Rule>
using ScalarsOf = typename ScalarsOfRule<Rule>::Type;

/// Returns a rule's coefficients for a step. Changes the scalars, if the rule carries any.
template <class Rule>
ONEPASS_LANE typename Rule::Coefficients prepared(const Rule& rule, std::int64_t step,
                                                  ScalarsOf<Rule>& scalars) {
  if constexpr (kScalarCount<Rule> != 0) {
    return rule.prepare(step, scalars);
  } else {
    return rule.prepare(step);
  }
}

/// Completes a step's coefficients, the rule's or those around it, with the sums over a tensor. May change
/// the scalars, if the rule carries any.
template <class Rule>
ONEPASS_LANE void finish(const Rule& rule, std::int64_t step, const Sums<kSumCount<Rule>>& sums,
                         ScalarsOf<Rule>& scalars, Around& around, typename Rule::Coefficients& k) {
  if constexpr (kHasCaution<Rule>) {
    around.kept_factor = Around::rescaled(sums.total[0], sums.numel);
  } else if constexpr (kScalarCount<Rule> != 0) {
    rule.finish(step, sums, scalars, k);
  } else {
    rule.finish(step, sums, k);
  }
}

}  // namespace rule

/// A rule is a plain value: hyperparameters in double, lr first, and these members:
///
/// - `kName`: the rule's name in errors and saved states.
/// - `describe(list)`: lists the rule's own hyperparameters, lr first, each by one call of `list` with its
///   name, member, range (of a double; onepass/rule/check.hpp) and meaning. rule::describe_shared() lists
///   those that every rule has.
/// - `presets(list)`, optional: lists the settings of other implementations, each by one call of `list` with
///   a name, a rule, and a sentence or more that says whose settings it has.
/// - `variant()`: the index of the variant that the rule needs: a set of bits, one for each optional state.
/// - `check()`, optional: throws InvalidArgument if hyperparameters that are each in range contradict each
///   other.
/// - `kSwitchable`, optional: bits of variant() that may be cleared and set again after construction, because
///   update() with the state is also right without it: a momentum of 0, for example.
/// - `prepare(step)`: returns the float coefficients for a tensor's `step` (1 on its first), computed in
///   double and rounded once each. It is called once per step and tensor, on host and device. `Coefficients`
///   consists of floats and of lane::Flag; a rule with one that is not finite is refused when it is set. A
///   rule with kScalars has prepare(step, scalars) instead.
/// - `kSums`, optional: sums over each tensor, of which `finish(step, sums, k)` makes coefficients
///   (onepass/rule/sums.hpp). `kSumsMagnitudes` and `kSumsOverModel` say what is summed, and over what.
/// - `kMatrixBit`, optional: the bit of variants that keep numbers for rows and columns of a matrix
///   (onepass/rule/axes.hpp).
/// - `kOwnsDecay`, optional: update() and prepare() apply every weight decay but the coupled one, and
///   rule::Around leaves it to them.
/// - `decay_share(step)`, optional: a factor of the decay that rule::Around applies, 0 on a step without any.
/// - `caution`, optional: a hyperparameter of type Caution. Each variant then has heading() and kMeasured
///   (onepass/rule/sums.hpp).
/// - `Sweeps`, optional: a VariantList of passes over the rule's streams that are no steps
///   (Optimizer::sweep()): variants with the states of the rule's only one, and a `kName`. They count
///   nothing, and neither clip nor decay; update() gets the gradient after unscaling and sign.
/// - `Loops`, optional: the rule whose CPU loops and update kernels this one uses, with the same
///   Coefficients and Variants. AdamW uses Adam's, so that nothing is compiled for it but prepare().
template <class R>
concept ElementwiseRule = std::is_trivially_copyable_v<R> && sizeof(R) % 8 == 0 &&
                          requires(const R rule, std::int64_t step, rule::ScalarsOf<R> scalars,
                                   rule::AnyList list) {
  { R::kName } -> std::convertible_to<std::string_view>;
  { R::Variants::kCount } -> std::convertible_to<std::size_t>;
  { rule.variant() } -> std::same_as<unsigned>;
  { R::describe(list) } -> std::same_as<void>;
  { rule::prepared(rule, step, scalars) } -> std::same_as<typename R::Coefficients>;
  { rule.lr } -> std::convertible_to<double>;
  { rule.weight_decay } -> std::convertible_to<double>;
  { rule.weight_decay_mode } -> std::convertible_to<WeightDecay>;
  { rule.l1 } -> std::convertible_to<double>;
  { rule.l1_mode } -> std::convertible_to<L1>;
  { rule.maximize } -> std::convertible_to<bool>;
};

namespace rule {

/// Bits of variant() that may change after construction; 0 if the rule does not say.
template <class Rule>
inline constexpr unsigned kSwitchableBits = 0;
template <class Rule>
requires requires { Rule::kSwitchable; }
inline constexpr unsigned kSwitchableBits<Rule> = Rule::kSwitchable;

template <class Rule>
struct LoopsOfRule {
  using Type = Rule;
};
template <class Rule>
requires requires { typename Rule::Loops; }
struct LoopsOfRule<Rule> {
  using Type = typename Rule::Loops;
  static_assert(std::is_same_v<typename Type::Coefficients, typename Rule::Coefficients>);
  static_assert(std::is_same_v<typename Type::Variants, typename Rule::Variants>);
  static_assert(kSumCount<Type> == kSumCount<Rule> && kSumsOverModel<Type> == kSumsOverModel<Rule>);
};

/// The rule whose loops and update kernels a rule uses: Rule::Loops, or the rule itself.
template <class Rule>
using LoopsOf = typename LoopsOfRule<Rule>::Type;

}  // namespace rule

}  // namespace onepass
