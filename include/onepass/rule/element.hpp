// element.hpp - one step of one element: the rule, the operations around it, and the bits it is rounded with.
#pragma once

#include <cstdint>

#include "onepass/random/philox.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::rule {

/// Halves that a block takes from a draw of eight: one for each stream that is rounded, first the states and
/// then the parameter. The number is 1, 2 or 4, so that no block takes halves from two draws.
constexpr int halves_of(int streams) { return streams <= 2 ? streams : 4; }

/// Halves that a block takes for the parameter and the states of a format and variant.
template <class Format, class Variant>
inline constexpr int kBlockHalves = halves_of((Format::kHasLossyStates ? kStateCount<Variant> : 0) +
                                              (Format::kRoundsStochastically ? 1 : 0));

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

/// The random bits with which the numbers of one tensor are rounded at one step.
struct Draws {
  std::uint64_t key;
  std::uint64_t first_block;  ///< Block of the tensor's first element in the logical tensor: its offset / 32.
  std::uint32_t step;
  std::uint32_t tensor;

  /// Number of halves that the logical tensor's blocks before `block` take, if each takes 1, 2 or 4.
  [[nodiscard]] ONEPASS_LANE std::uint64_t halves_before(std::int64_t block, int each) const {
    return (first_block + static_cast<std::uint64_t>(block)) * static_cast<unsigned>(each);
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
    const int first = place(block, kHalves);
    const std::uint32_t even = (first & 4) != 0 ? draw.word[2] : draw.word[0];
    const std::uint32_t odd = (first & 4) != 0 ? draw.word[3] : draw.word[1];
    if constexpr (kHalves == 4) return {{even, odd}};
    const std::uint32_t word = (first & 2) != 0 ? odd : even;
    if constexpr (kHalves == 2) return {{word}};
    return {{(first & 1) != 0 ? word : word << 16}};
  }
};

/// The part of a tensor's step that does not depend on the rule.
struct TensorStep {
  Draws draws;
  float ema_weight;                  ///< Weight of the new parameter value in the moving average.
  lane::Flag rounds_stochastically;  ///< 0: rounds to nearest.
  bool active;                       ///< False: the step leaves the tensor out.
  bool zero_grad;                    ///< The update overwrites the gradient with zeros, even if not active.
};

/// All coefficients of one tensor's step. Written once per step, before the update; read for every element.
template <class Rule>
struct TensorCoefficients {
  TensorStep step;
  Around around;
  typename Rule::Coefficients rule;
};

/// Updates one parameter element and its states in registers. The caller loads, decodes, encodes and stores
/// them. kLossy: the states' format has less than 32 bits. kPlain: around.is_plain() is true, and the
/// operations that do nothing then are left out, without changing a bit.
template <class Variant, bool kLossy, bool kPlain, class Rule, class... State>
ONEPASS_LANE void move(const TensorCoefficients<Rule>& k, float& p, float g, State&... states) {
  if constexpr (kLossy && Compressible<Variant>) Variant::expand(states...);
  const float update = Variant::update(k.rule, p, k.around.template before<kPlain>(p, g), states...);
  p = k.around.template after<kPlain>(p, update);
  if constexpr (kLossy && Compressible<Variant>) Variant::compress(states...);
}

}  // namespace onepass::rule
