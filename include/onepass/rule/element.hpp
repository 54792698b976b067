// element.hpp - one step of one element: the rule, and what stands around every rule.
#pragma once

#include <cstdint>

#include "onepass/random/philox.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::rule {

/// The random bits that a tensor's numbers are rounded with, at one step.
struct Draws {
  std::uint64_t key;
  std::uint64_t first_group;  ///< Of the tensor's first element: its offset in the logical tensor, / 32.
  std::uint32_t step;
  std::uint32_t tensor;

  /// Words of the logical tensor before the group's, where groups take `each`: 1, 2 or 4.
  [[nodiscard]] ONEPASS_LANE std::uint64_t words_before(std::int64_t group, int each) const {
    return (first_group + static_cast<std::uint64_t>(group)) * static_cast<unsigned>(each);
  }
  /// The block that has the group's words.
  [[nodiscard]] ONEPASS_LANE random::Counter counter(std::int64_t group, random::Purpose purpose,
                                                     int each) const {
    return {words_before(group, each) / 4, purpose, step, tensor};
  }
  /// The first of them there.
  [[nodiscard]] ONEPASS_LANE int place(std::int64_t group, int each) const {
    return static_cast<int>(words_before(group, each) % 4);
  }
  [[nodiscard]] ONEPASS_LANE random::Words of(const random::Counter& counter) const {
    return random::philox(key, counter);
  }
  /// The block's words, the group's own first. By choices: on a GPU an index would put them into memory.
  [[nodiscard]] ONEPASS_LANE random::Words words(std::int64_t group, random::Purpose purpose,
                                                 int each) const {
    random::Words block = of(counter(group, purpose, each));
    const int first = place(group, each);
    block.word[0] = (first & 2) != 0 ? block.word[2] : block.word[0];
    block.word[1] = (first & 2) != 0 ? block.word[3] : block.word[1];
    block.word[0] = (first & 1) != 0 ? block.word[1] : block.word[0];
    return block;
  }
};

/// The words that a group takes: one for each stream that is rounded, the states' and after them the
/// parameter's. 1, 2 or 4, so that none takes from two blocks.
constexpr int words_of(int streams) { return streams <= 2 ? streams : 4; }

template <class Format, class Variant>
inline constexpr int kGroupWords = words_of((Format::kHasLossyStates ? kStateCount<Variant> : 0) +
                                            (Format::kRoundsStochastically ? 1 : 0));

/// The moving average of the weights is one stream.
inline constexpr int kEmaWords = words_of(1);

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
