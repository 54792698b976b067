// tiger.hpp - Tiger, a rule that onepass does not include: the sign of one average, with Lion's memory
// halved.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace mine {

/// Tiger: p = p - lr * (sign(exp_avg) + weight_decay * p), with one beta for step and average. Su 2023,
/// "Tiger: A Tight-fisted Optimizer", without its scaling of lr by the size of each tensor, which a user sets
/// by group.
struct Tiger {
  double lr = 1e-3;
  double beta = 0.965;
  double weight_decay = 0.01;
  double l1 = 0.0;
  onepass::WeightDecay weight_decay_mode = onepass::WeightDecay::decoupled;
  onepass::L1 l1_mode = onepass::L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Tiger";
  static void describe(auto& list) {
    using namespace onepass::rule;
    list("lr", &Tiger::lr, kNonnegative, "Learning rate: parameter units per step.");
    list("beta", &Tiger::beta, kUnitInterval, "Share of exp_avg kept per step.");
  }

  struct Coefficients {
    float lr, one_minus_beta;
  };

  struct Plain {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr std::array kDecays{"beta"};
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg) {
      exp_avg = onepass::lane::lerp(exp_avg, g, k.one_minus_beta);
      return onepass::lane::with_sign_of(exp_avg, k.lr);
    }
  };

  using Variants = onepass::VariantList<Plain>;
  [[nodiscard]] unsigned variant() const { return 0; }
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {static_cast<float>(lr), static_cast<float>(1.0 - beta)};
  }
};

}  // namespace mine
