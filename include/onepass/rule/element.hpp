// element.hpp - one step of one element: the rule, the operations around it, and the bits it is rounded with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "onepass/random/philox.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::rule {

/// Halves that a block takes from a draw of eight: one for each stream that is rounded, first the states and
/// then the parameter. The number is 1, 2, 4 or 8, so that no block takes halves from two draws.
ONEPASS_LANE constexpr int halves_of(int streams) { return streams <= 2 ? streams : streams <= 4 ? 4 : 8; }

/// Halves that a block takes for the parameter and `states` states in a format.
template <class Format>
constexpr int block_halves(int states) {
  return halves_of((Format::kDrawsForStates ? states : 0) + (Format::kDrawsForParam ? 1 : 0));
}
template <class Format, class Variant>
inline constexpr int kBlockHalves = block_halves<Format>(kStateCount<Variant>);

/// Halves that a block takes for the moving average of the parameter, which is one stream.
inline constexpr int kEmaHalves = halves_of(1);

/// The halves of one block, in the words in which they were drawn. A single half is shifted to the upper half
/// of its word.
template <int kHalves>
struct BlockHalves {
  static constexpr int kWords = (kHalves + 1) / 2;
  std::uint32_t word[kWords];

  /// Returns a word whose upper half is half number kHalf. Its lower half is arbitrary.
  template <int kHalf>
  [[nodiscard]] ONEPASS_LANE std::uint32_t upper() const {
    static_assert(kHalf >= 0 && kHalf < kHalves);
    constexpr bool kIsUpper = kHalves == 1 || kHalf % 2 == 1;
    return kIsUpper ? word[kHalf / 2] : word[kHalf / 2] << 16;
  }
};

/// The random bits with which the numbers of one tensor are rounded at one step. Blocks are those of the
/// logical tensor.
struct Draws {
  std::uint64_t key;
  std::uint32_t step;
  std::uint32_t tensor;

  /// Number of halves that the logical tensor's blocks before `block` take, if each takes 1, 2, 4 or 8.
  [[nodiscard]] ONEPASS_LANE std::uint64_t halves_before(std::int64_t block, int each) const {
    return static_cast<std::uint64_t>(block) * static_cast<unsigned>(each);
  }
  /// Returns the counter of the draw that has the halves of a block.
  [[nodiscard]] ONEPASS_LANE random::Counter counter(std::int64_t block, random::Purpose purpose,
                                                     int each) const {
    return {halves_before(block, each) / random::kHalves, purpose, step, tensor};
  }
  /// Returns the index of the block's first half in that draw.
  [[nodiscard]] ONEPASS_LANE int place(std::int64_t block, int each) const {
    return static_cast<int>(halves_before(block, each) % random::kHalves);
  }
  /// Returns the words of a draw.
  [[nodiscard]] ONEPASS_LANE random::Words of(const random::Counter& counter) const {
    return random::philox(key, counter);
  }
  /// Returns the halves of a block that takes kHalves. It selects the words with `?:`, because on a GPU an
  /// index would move the draw from registers to memory.
  template <int kHalves>
  [[nodiscard]] ONEPASS_LANE BlockHalves<kHalves> halves(std::int64_t block, random::Purpose purpose) const {
    const random::Words draw = of(counter(block, purpose, kHalves));
    if constexpr (kHalves == 8) return {{draw.word[0], draw.word[1], draw.word[2], draw.word[3]}};
    const int first = place(block, kHalves);
    const std::uint32_t even = (first & 4) != 0 ? draw.word[2] : draw.word[0];
    const std::uint32_t odd = (first & 4) != 0 ? draw.word[3] : draw.word[1];
    if constexpr (kHalves == 4) return {{even, odd}};
    const std::uint32_t word = (first & 2) != 0 ? odd : even;
    if constexpr (kHalves == 2) return {{word}};
    if constexpr (kHalves == 1) return {{(first & 1) != 0 ? word : word << 16}};
  }
};

/// The part of a tensor's step that does not depend on the rule.
struct TensorStep {
  Draws draws;
  float ema_weight;                  ///< Weight of the new parameter value in the moving average.
  float ema_settles;                 ///< As Around::settles_states, for the moving average.
  float slow_weight;                 ///< Weight of the parameter in its slow weights; 0: they stay.
  lane::Flag rounds_stochastically;  ///< 0: rounds to nearest.
  bool active;                       ///< False: the step leaves the tensor out.
  bool settles;                      ///< True: the step settles (rule::settle()).
  bool zero_grad;                    ///< The update overwrites the gradient with zeros, even if not active.
  bool takes_sums;                   ///< The step takes the sums of the tensor's rule.
};

/// All coefficients of one tensor's step. Written once per step, before the update; read for every element.
template <class Rule>
struct TensorCoefficients {
  TensorStep step;
  Around around;
  typename Rule::Coefficients rule;
};

/// Those of a rule with sums over the model, whose scalars wait here for finish().
template <class Rule>
requires kSumsOverModel<Rule>
struct TensorCoefficients<Rule> {
  TensorStep step;
  Around around;
  typename Rule::Coefficients rule;
  ScalarsOf<Rule> scalars{};
};

/// Settles one number. Where a gradient stays 0, averages decay until they are denormal, and stay denormal,
/// because float32 cannot round them any closer to 0. An instruction that reads or yields a denormal takes a
/// processor up to a hundred times as long as usual. So every 16th step first settles what lies below a
/// magnitude far below that of any gradient, and none becomes denormal. It changes nothing where the gradient
/// of this step is not 0, and nothing if `below` is 0.
ONEPASS_LANE float settle(bool has_gradient, float x, float below) {
  return !has_gradient & (lane::abs(x) < below) ? 0.0f : x;
}

/// Settles a state that is never negative: it stays at the magnitude where it settles and does not become 0,
/// because rules divide by the roots of such states. That magnitude is smaller, since these states are
/// averages of squares, and they decay more slowly.
ONEPASS_LANE float settle_nonnegative(bool has_gradient, float x, float below) {
  const float least = below * 0x1p-20f;
  return !has_gradient & (x > 0.0f) & (x < least) ? least : x;
}

/// Settles the parameter and the states of one element, as they are stored: before Variant::expand(). The
/// numbers of its row and column, which come after the states, stay.
template <class Variant, std::size_t... kState, class... State>
ONEPASS_LANE void settle(const Around& around, float g, float& p, std::index_sequence<kState...> /*states*/,
                         State&... states) {
  const bool has_gradient = g != 0.0f;
  p = settle(has_gradient, p, around.settles_param());
  (..., (states = static_cast<int>(kState) >= kStateCount<Variant> ? states
                  : (kNonnegativeStates<Variant> >> kState & 1u) != 0
                      ? settle_nonnegative(has_gradient, states, around.settles_states)
                      : settle(has_gradient, states, around.settles_states)));
}

/// Updates one parameter element and its states in registers. The caller loads, decodes, encodes and stores
/// them. After the states come the numbers of the element's row and column, if the variant has any. kLossy:
/// the states' format has less than 32 bits. kExtras: what the step needs, or more. Operations that do
/// nothing in this step are left out, without changing a bit.
template <class Variant, bool kLossy, Extras kExtras, class Rule, class... State>
ONEPASS_LANE void move(const TensorCoefficients<Rule>& k, float& p, float g, State&... states) {
  if constexpr (kExtras == Extras::settle) {
    settle<Variant>(k.around, g, p, std::index_sequence_for<State...>{}, states...);
  }
  if constexpr (kLossy && Compressible<Variant>) Variant::expand(states...);
  const float seen = k.around.template before<kExtras>(p, g);
  const float update = Variant::update(k.rule, p, seen, states...);
  p = k.around.template after<kExtras>(p, seen, update);
  if constexpr (kLossy && Compressible<Variant>) Variant::compress(states...);
}

/// Computes the terms that one element adds to the sums over its tensor. Changes nothing.
template <class Variant, bool kLossy, int kTerms, class Rule, class... State>
ONEPASS_LANE void measure(const TensorCoefficients<Rule>& k, float p, float g, float (&terms)[kTerms],
                          State... states) {
  if constexpr (kLossy && Compressible<Variant>) Variant::expand(states...);
  const float seen = k.around.template before<Extras::all>(p, g);
  if constexpr (kHasCaution<Rule>) {
    terms[0] = Around::agree(Variant::heading(k.rule, p, seen, states...), seen) ? 1.0f : 0.0f;
  } else {
    Variant::measure(k.rule, p, seen, states..., terms);
  }
}

/// Returns the number of one element whose square is averaged over its row and column. Changes nothing.
template <class Variant, int kPass, class Rule, class... State>
ONEPASS_LANE float axis_term(const TensorCoefficients<Rule>& k, float p, float g, State... states) {
  const float seen = k.around.template before<Extras::all>(p, g);
  return Variant::template axis_term<kPass>(k.rule, p, seen, states...);
}

/// Moves one element of the moving average towards p. The average of a parameter that has become 0 settles.
ONEPASS_LANE float follow(const TensorStep& step, float average, float p) {
  return settle(p != 0.0f, lane::lerp(average, p, step.ema_weight), step.ema_settles);
}

/// Moves one of the slow weights towards p.
ONEPASS_LANE float slow(const TensorStep& step, float slow, float p) {
  return lane::lerp(slow, p, step.slow_weight);
}

}  // namespace onepass::rule
