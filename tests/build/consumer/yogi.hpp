// yogi.hpp - Yogi, a rule that onepass does not include: Adam whose second moment moves by bounded steps.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace mine {

/// Yogi: exp_avg_sq = exp_avg_sq - (1 - beta2) * sign(exp_avg_sq - g^2) * g^2, otherwise Adam with its bias
/// corrections. Zaheer et al. 2018, "Adaptive Methods for Nonconvex Optimization", algorithm 2, in the form
/// of optax and TensorFlow Addons: both states start at `initial_accumulator`.
struct Yogi {
  double lr = 1e-2;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-3;
  double initial_accumulator = 1e-6;
  double weight_decay = 0.0;
  double l1 = 0.0;
  onepass::WeightDecay weight_decay_mode = onepass::WeightDecay::coupled;
  onepass::L1 l1_mode = onepass::L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Yogi";
  static void describe(auto& list) {
    using namespace onepass::rule;
    list("lr", &Yogi::lr, kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Yogi::beta1, kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Yogi::beta2, kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &Yogi::eps, kEps, "Gradient units, outside the root.");
    list("initial_accumulator", &Yogi::initial_accumulator, kNonnegative,
         "Both states before the first step.");
  }

  struct Coefficients {
    float step_size, one_minus_beta1, one_minus_beta2, inverse_root, eps, initial;
    onepass::lane::Flag first;
  };

  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      namespace lane = onepass::lane;
      exp_avg = lane::lerp(lane::select(k.first, k.initial, exp_avg), g, k.one_minus_beta1);
      const float square = g * g, before = lane::select(k.first, k.initial, exp_avg_sq);
      exp_avg_sq = lane::fma(-k.one_minus_beta2, lane::with_sign_of(before - square, square), before);
      return k.step_size * (exp_avg / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps));
    }
  };

  using Variants = onepass::VariantList<Plain>;
  [[nodiscard]] unsigned variant() const { return 0; }
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double correction1 = 1.0 - onepass::lane::power(beta1, step);
    const double correction2 = 1.0 - onepass::lane::power(beta2, step);
    return {.step_size = static_cast<float>(lr / correction1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / onepass::lane::sqrt(correction2)),
            .eps = static_cast<float>(eps),
            .initial = static_cast<float>(initial_accumulator),
            .first = step == 1 ? 1u : 0u};
  }
};

}  // namespace mine
