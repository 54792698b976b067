// adopt.hpp - ADOPT: Adam that divides a gradient by the moment of those before it.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// ADOPT, elementwise. t is the parameter's own step number, starting at 1.
///
///     t = 1:  exp_avg_sq = g^2, and nothing else: p neither moves nor decays
///     t > 1:  n = g / max(sqrt(exp_avg_sq), eps)
///             n = clamp(n, -(t - 1)^(1/4), (t - 1)^(1/4))        clip
///             exp_avg = beta1 * exp_avg + (1 - beta1) * n
///             p = p - lr * exp_avg
///             exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. No average has a bias
/// correction. An L1 penalty in proximal mode also shrinks p on the first step.
///
/// Source: Taniguchi et al. 2024, arXiv 2411.02853, algorithm 2, in the form of the authors' code
/// (torch-adopt), in which eps is a floor of the root and no summand. Deviations: none.
///
/// Use: as Adam with any beta2: it converges where Adam may not.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and the states are stored, and exp_avg_sq has float32 in every format,
/// because an average of 10,000 squares is too long for fewer bits.
///
/// NaN in a gradient propagates into the states and p; on the first step into exp_avg_sq alone, and into p by
/// the next one. Inf in a gradient is clipped, if clip is set, and makes exp_avg_sq Inf, and NaN one step
/// later; the step after that makes p NaN. The square of a gradient beyond 1.8e19 does the same.
///
/// describe() has units and ranges of the hyperparameters.
struct ADOPT {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.9999;
  double eps = 1e-6;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool clip = true;
  bool maximize = false;

  static constexpr const char* kName = "ADOPT";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &ADOPT::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &ADOPT::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &ADOPT::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &ADOPT::eps, rule::kEps,
         "Gradient units: the least denominator. With 0, gradients of 0 give 0 / 0 = NaN.");
    list("clip", &ADOPT::clip, "Limits the normalized gradient of step t to (t - 1)^(1/4).");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr;
    float one_minus_beta1, one_minus_beta2;
    float eps;
    float limit;        ///< (t - 1)^(1/4)
    lane::Flag clips;   ///< Off: the limit is not applied.
    lane::Flag starts;  ///< The first step.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kFloat32 = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      const float whole = g / lane::max(lane::sqrt(exp_avg_sq), k.eps);
      const float normalized = lane::select(k.clips, lane::clamp(whole, k.limit), whole);
      const float average = lane::lerp(exp_avg, normalized, k.one_minus_beta1);
      exp_avg = lane::select(k.starts, exp_avg, average);
      exp_avg_sq = lane::select(k.starts, g * g, lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2));
      return lane::select(k.starts, 0.0f, k.lr * average);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// A factor of every decay but the coupled one: the first step has none.
  [[nodiscard]] ONEPASS_LANE double decay_share(std::int64_t step) const { return step == 1 ? 0.0 : 1.0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double root = lane::sqrt(static_cast<double>(step - 1));
    return {.lr = static_cast<float>(lr),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .eps = static_cast<float>(eps),
            .limit = static_cast<float>(lane::sqrt(root)),
            .clips = clip ? 1u : 0u,
            .starts = step == 1 ? 1u : 0u};
  }
};

}  // namespace onepass
