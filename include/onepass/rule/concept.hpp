// concept.hpp - what a rule must offer to be swept over a model.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "onepass/rule/around.hpp"

namespace onepass {

/// The compile-time variants of a rule, in the order of its variant() bits. A variant is a struct with
///     static constexpr std::array<const char*, N> kStates;       // its N states by name, zero at first
///     static float update(const Rule::Coefficients& k, float p, float g, float&... states);
/// update() returns the step, that is, what is subtracted from p.
template <class... Variant>
struct VariantList {
  static constexpr std::size_t kCount = sizeof...(Variant);
  template <std::size_t kIndex>
  using At = std::tuple_element_t<kIndex, std::tuple<Variant...>>;
};

template <class Variant>
inline constexpr int kStateCount = static_cast<int>(Variant::kStates.size());

/// Which states are never negative, as bits: a variant may say so in `static constexpr unsigned
/// kNonnegative`. A format that quantises states keeps more of those that are.
template <class Variant>
inline constexpr unsigned kNonnegativeStates = 0;
template <class Variant>
requires requires { Variant::kNonnegative; }
inline constexpr unsigned kNonnegativeStates<Variant> = Variant::kNonnegative;

/// What formats of less than 32 bits keep of a variant's states, where that is not the states themselves: a
/// variant may have `static void compress(float&... states)`, applied before they are stored, and its inverse
/// `expand`, applied after they are loaded. Float32 formats do without.
template <class Variant>
concept Compressible = requires {
  &Variant::compress;
};

/// A rule is a plain value: hyperparameters in double, and static functions.
///   kName             what errors and saved states call it
///   variant()         a set of bits, one per optional state; an optimizer takes the union over its groups,
///                     so every update() must do right by a group that did not ask for a bit
///   check()           throws InvalidArgument if a hyperparameter is out of range
///   prepare(step)     once a step and tensor, in double: the float coefficients for that tensor's `step`
///                     (1 on its first), each rounded once; runs on host and device
template <class R>
concept ElementwiseRule = std::is_trivially_copyable_v<R> && sizeof(R) % 8 == 0 &&
                          requires(const R rule, std::int64_t step) {
  { R::kName } -> std::convertible_to<std::string_view>;
  { R::Variants::kCount } -> std::convertible_to<std::size_t>;
  { rule.variant() } -> std::same_as<unsigned>;
  { rule.check() } -> std::same_as<void>;
  { rule.prepare(step) } -> std::same_as<typename R::Coefficients>;
  { rule.lr } -> std::convertible_to<double>;
  { rule.weight_decay } -> std::convertible_to<double>;
  { rule.weight_decay_mode } -> std::convertible_to<WeightDecay>;
  { rule.l1 } -> std::convertible_to<double>;
  { rule.l1_mode } -> std::convertible_to<L1>;
  { rule.maximize } -> std::convertible_to<bool>;
};

}  // namespace onepass
