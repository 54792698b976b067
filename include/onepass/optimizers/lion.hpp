// lion.hpp - Lion: the sign of an interpolated momentum as the step.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Lion, elementwise.
///
///     c       = beta1 * exp_avg + (1 - beta1) * g                exp_avg before this step
///     exp_avg = beta2 * exp_avg + (1 - beta2) * g
///     p       = p - lr * sign(c)
///
/// sign(0) is 0. g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. With
/// beta1 = beta2, Lion is Signum. The two rules have loops of their own, because rules that share loops have
/// the same states, and these differ in a name, and in signSGD, which has none.
///
/// Source: Chen et al. 2023, arXiv 2302.06675, algorithm 2, where the weight decay is decoupled and scaled by
/// lr. Deviations: none.
///
/// Every step moves p by lr, whatever the size of g. Where the gradient stays 0, exp_avg decays and keeps its
/// sign, and p goes on, until exp_avg settles at 0 (docs/storage.md). With the default beta2, an exp_avg of 1
/// settles after 6,900 steps.
///
/// Use: transformers with large batches in fewer bytes than AdamW, at a third to a tenth of its learning
/// rate.
///
/// Shapes: p, g and exp_avg have equal numel; the rule combines elements with equal index. The arithmetic is
/// in float32; Storage says how p and exp_avg are stored.
///
/// NaN in a gradient propagates into exp_avg and p. Inf counts by its sign: p moves by lr. exp_avg becomes
/// Inf, and NaN one step later, and so does p.
///
/// describe() has units and ranges of the hyperparameters.
struct Lion {
  double lr = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  Caution caution = Caution::none;
  bool maximize = false;

  static constexpr const char* kName = "Lion";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Lion::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &Lion::beta1, rule::kUnitInterval, "Share of exp_avg in the step; g has the rest.");
    list("beta2", &Lion::beta2, rule::kUnitInterval, "Share of exp_avg kept per step.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_beta1, one_minus_beta2;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr std::array kDecays{"beta2"};
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<0>;
    static ONEPASS_LANE float heading(const Coefficients& k, float /*p*/, float g, float exp_avg) {
      return lane::lerp(exp_avg, g, k.one_minus_beta1);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg) {
      const float c = heading(k, p, g, exp_avg);
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta2);
      return lane::with_sign_of(c, k.lr);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2)};
  }

  /// Lists the presets.
  static void presets(auto& list) { list("optax", optax(), "optax.lion has a weight decay of 1e-3."); }
  /// optax.lion. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr Lion optax() { return {.weight_decay = 1e-3}; }
};

}  // namespace onepass
