// sign_sgd.hpp - a rule that onepass does not include: signSGD, with a count of zero gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace mine {

// [rule]
/// signSGD: p = p - lr * sign(g), sign(0) = 0. Bernstein et al. 2018, arXiv 1802.04434.
struct SignSGD {
  double lr = 1e-3;
  double weight_decay = 0.0;
  double l1 = 0.0;
  onepass::WeightDecay weight_decay_mode = onepass::WeightDecay::decoupled;
  onepass::L1 l1_mode = onepass::L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "SignSGD";
  static void describe(auto& list) {
    list("lr", &SignSGD::lr, onepass::rule::kNonnegative, "Learning rate: parameter units per step.");
  }

  struct Coefficients {
    float lr;
  };

  struct Counting {
    static constexpr std::array kStates{"zero_count"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& zero_count) {
      zero_count += g == 0.0f ? 1.0f : 0.0f;
      return g > 0.0f ? k.lr : g < 0.0f ? -k.lr : 0.0f;
    }
  };

  using Variants = onepass::VariantList<Counting>;
  [[nodiscard]] unsigned variant() const { return 0; }
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {static_cast<float>(lr)};
  }
};
// [/rule]

}  // namespace mine
