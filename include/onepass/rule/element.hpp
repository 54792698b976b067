// element.hpp - one step of one element: the rule, and what stands around every rule.
#pragma once

#include <cstdint>

#include "onepass/random/philox.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::rule {

/// The half words that a group takes of a block of eight: one for each stream that is rounded, the states'
/// and after them the parameter's. 1, 2 or 4, so that none takes from two blocks.
constexpr int halves_of(int streams) { return streams <= 2 ? streams : 4; }

template <class Format, class Variant>
inline constexpr int kBlockHalves = halves_of((Format::kHasLossyStates ? kStateCount<Variant> : 0) +
                                              (Format::kRoundsStochastically ? 1 : 0));

/// The moving average of the weights is one stream.
inline constexpr int kEmaHalves = halves_of(1);

/// A group's own halves, as they are in their words; of a single one the word is shifted, so that it is
/// upper.
template <int kHalves>
struct BlockHalves {
  static constexpr int kWords = (kHalves + 1) / 2;
  std::uint32_t word[kWords];

  /// A word whose upper half is that one. The lower is any.
  template <int kHalf>
  [[nodiscard]] ONEPASS_LANE std::uint32_t upper() const {
    static_assert(kHalf >= 0 && kHalf < kHalves);
    constexpr bool kIsUpper = kHalves == 1 || kHalf % 2 == 1;
    return kIsUpper ? word[kHalf / 2] : word[kHalf / 2] << 16;
  }
};

/// The random bits that a tensor's numbers are rounded with, at one step.
struct Draws {
  std::uint64_t key;
  std::uint64_t first_group;  ///< Of the tensor's first element: its offset in the logical tensor, / 32.
  std::uint32_t step;
  std::uint32_t tensor;

  /// Halves of the logical tensor before the group's, where groups take `each`: 1, 2 or 4.
  [[nodiscard]] ONEPASS_LANE std::uint64_t halves_before(std::int64_t group, int each) const {
    return (first_group + static_cast<std::uint64_t>(group)) * static_cast<unsigned>(each);
  }
  /// The block that has the group's halves.
  [[nodiscard]] ONEPASS_LANE random::Counter counter(std::int64_t group, random::Purpose purpose,
                                                     int each) const {
    return {halves_before(group, each) / random::kHalves, purpose, step, tensor};
  }
  /// The first of them there.
  [[nodiscard]] ONEPASS_LANE int place(std::int64_t group, int each) const {
    return static_cast<int>(halves_before(group, each) % random::kHalves);
  }
  [[nodiscard]] ONEPASS_LANE random::Words of(const random::Counter& counter) const {
    return random::philox(key, counter);
  }
  /// Those of a group that takes kHalves. By choices: on a GPU an index would put the block into memory.
  template <int kHalves>
  [[nodiscard]] ONEPASS_LANE BlockHalves<kHalves> halves(std::int64_t group, random::Purpose purpose) const {
    const random::Words block = of(counter(group, purpose, kHalves));
    const int first = place(group, kHalves);
    const std::uint32_t even = (first & 4) != 0 ? block.word[2] : block.word[0];
    const std::uint32_t odd = (first & 4) != 0 ? block.word[3] : block.word[1];
    if constexpr (kHalves == 4) return {{even, odd}};
    const std::uint32_t word = (first & 2) != 0 ? odd : even;
    if constexpr (kHalves == 2) return {{word}};
    return {{(first & 1) != 0 ? word : word << 16}};
  }
};

/// What a step does with one tensor, whatever the rule.
struct TensorStep {
  Draws draws;
  float ema_weight;                  ///< Of the new parameter in its moving average.
  lane::Flag rounds_stochastically;  ///< 0: to nearest.
  bool active;                       ///< False: the tensor is left out of this step.
  bool zero_grad;                    ///< The update leaves zeros where it found the gradient, active or not.
};

/// What a step needs to know of one tensor: written once a step by prepare, read by every element.
template <class Rule>
struct TensorCoefficients {
  TensorStep step;
  Around around;
  typename Rule::Coefficients rule;
};

/// Moves one parameter and its states. Loads and stores, and how numbers lie in memory, are the sweep's.
/// kLossy: the states' format has less than 32 bits. kPlain: around is_plain(), which leaves something out
/// and changes no bit.
template <class Variant, bool kLossy, bool kPlain, class Rule, class... State>
ONEPASS_LANE void move(const TensorCoefficients<Rule>& k, float& p, float g, State&... states) {
  if constexpr (kLossy && Compressible<Variant>) Variant::expand(states...);
  const float step = Variant::update(k.rule, p, k.around.template before<kPlain>(p, g), states...);
  p = k.around.template after<kPlain>(p, step);
  if constexpr (kLossy && Compressible<Variant>) Variant::compress(states...);
}

}  // namespace onepass::rule
