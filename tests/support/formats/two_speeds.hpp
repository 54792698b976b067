// two_speeds.hpp - a rule of the tests that keeps one of its states in float32, whatever the format is.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/check.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass::test {

/// Two averages of the gradient over the root of that of its square: AdEMAMix (Pagliardini et al. 2024, arXiv
/// 2409.03137) without bias corrections. The slow average is too long for bfloat16 and for 8 bits.
struct TwoSpeeds {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double beta3 = 0.9999;
  double alpha = 5.0;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool slow_alone = false;
  bool maximize = false;

  static constexpr const char* kName = "TwoSpeeds";
  static void describe(auto& list) {
    list("lr", &TwoSpeeds::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &TwoSpeeds::beta1, rule::kUnitInterval, "Share of fast_avg kept per step.");
    list("beta2", &TwoSpeeds::beta2, rule::kUnitInterval, "Share of avg_sq kept per step.");
    list("beta3", &TwoSpeeds::beta3, rule::kUnitInterval, "Share of slow_avg kept per step.");
    list("alpha", &TwoSpeeds::alpha, rule::kNonnegative, "Weight of slow_avg.");
    list("eps", &TwoSpeeds::eps, rule::kEps, "Gradient units, outside the root.");
    list("slow_alone", &TwoSpeeds::slow_alone, "Keeps slow_avg alone, and subtracts it.");
  }

  struct Coefficients {
    float lr;
    float one_minus_beta1, one_minus_beta2, one_minus_beta3;
    float alpha, eps;
  };

  /// Formats with less than 32 bits store the difference of the averages in place of the fast one.
  struct Mixed {
    static constexpr std::array kStates{"fast_avg", "slow_avg", "avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta3", "beta2"};
    static constexpr unsigned kNonnegative = 0b100;
    static constexpr unsigned kFloat32 = 0b010;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& fast, float& slow,
                                     float& square) {
      fast = lane::lerp(fast, g, k.one_minus_beta1);
      slow = lane::lerp(slow, g, k.one_minus_beta3);
      square = lane::lerp(square, g * g, k.one_minus_beta2);
      return k.lr * (lane::fma(k.alpha, slow, fast) / (lane::sqrt(square) + k.eps));
    }
    static ONEPASS_LANE void compress(float& fast, float& slow, float& /*square*/) { fast -= slow; }
    static ONEPASS_LANE void expand(float& fast, float& slow, float& /*square*/) { fast += slow; }
  };

  struct Slow {
    static constexpr std::array kStates{"slow_avg"};
    static constexpr std::array kDecays{"beta3"};
    static constexpr unsigned kFloat32 = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& slow) {
      slow = lane::lerp(slow, g, k.one_minus_beta3);
      return k.lr * slow;
    }
  };

  using Variants = VariantList<Mixed, Slow>;
  [[nodiscard]] unsigned variant() const { return slow_alone ? 1u : 0u; }

  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .one_minus_beta3 = static_cast<float>(1.0 - beta3),
            .alpha = static_cast<float>(alpha),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace onepass::test
