// qhadam.hpp - QHAdam, a rule that onepass does not include: quasi-hyperbolic Adam.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace mine {

/// QHAdam: Adam whose two moments are weighted means of the averages and of the gradient itself,
/// (nu1 m + (1 - nu1) g) / (sqrt(nu2 v + (1 - nu2) g^2) + eps), with averages that carry their bias
/// correction in their weight, (1 - beta) / (1 - beta^t). Ma and Yarats 2019, arXiv 1810.06801, section 4.
struct QHAdam {
  double lr = 1e-3;
  double beta1 = 0.995;
  double beta2 = 0.999;
  double nu1 = 0.7;
  double nu2 = 1.0;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  onepass::WeightDecay weight_decay_mode = onepass::WeightDecay::coupled;
  onepass::L1 l1_mode = onepass::L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "QHAdam";
  static void describe(auto& list) {
    using namespace onepass::rule;
    list("lr", &QHAdam::lr, kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &QHAdam::beta1, kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &QHAdam::beta2, kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("nu1", &QHAdam::nu1, kFinite, "Share of exp_avg in the numerator.");
    list("nu2", &QHAdam::nu2, kFinite, "Share of exp_avg_sq in the denominator.");
    list("eps", &QHAdam::eps, kEps, "Gradient units, outside the root.");
  }

  struct Coefficients {
    float lr, weight1, weight2, nu1, nu2, one_minus_nu1, one_minus_nu2, eps;
  };

  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      namespace lane = onepass::lane;
      const float square = g * g;
      exp_avg = lane::lerp(exp_avg, g, k.weight1);
      exp_avg_sq = lane::lerp(exp_avg_sq, square, k.weight2);
      const float second = lane::fma(k.nu2, exp_avg_sq, k.one_minus_nu2 * square);
      return k.lr * (lane::fma(k.nu1, exp_avg, k.one_minus_nu1 * g) / (lane::sqrt(second) + k.eps));
    }
  };

  using Variants = onepass::VariantList<Plain>;
  [[nodiscard]] unsigned variant() const { return 0; }
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.lr = static_cast<float>(lr),
            .weight1 = static_cast<float>((1.0 - beta1) / (1.0 - onepass::lane::power(beta1, step))),
            .weight2 = static_cast<float>((1.0 - beta2) / (1.0 - onepass::lane::power(beta2, step))),
            .nu1 = static_cast<float>(nu1),
            .nu2 = static_cast<float>(nu2),
            .one_minus_nu1 = static_cast<float>(1.0 - nu1),
            .one_minus_nu2 = static_cast<float>(1.0 - nu2),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace mine
