// novograd.hpp - NovoGrad: momentum of gradients that are divided by the average norm of their tensor.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// NovoGrad.
///
///     v = beta2 * v + (1 - beta2) * ||g||^2                      ||g||^2 on the first step
///     x = g / (sqrt(v) + eps) + weight_decay * p
///     exp_avg = beta1 * exp_avg + x                              (1 - beta1) * x if grad_averaging
///     p = p - lr * exp_avg
///
/// The norm is Euclidean, over the tensor. v is the scalar exp_avg_norm_sq, which timm calls exp_avg_sq. g is
/// the gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of the other
/// mode, decoupled, is the one in x; this rule has no other.
///
/// Source: Ginsburg et al. 2019, arXiv 1905.11286, algorithm 1; grad_averaging and the defaults are those of
/// timm. Deviations: none. timm takes every step for the first one until a gradient is not 0.
///
/// Use: speech and image models with large batches, in the bytes of SGD with momentum.
///
/// Shapes: p, g and exp_avg have equal numel, and the norm runs over all of it. The arithmetic is in float32,
/// that of the norm is exact (rule/sums.hpp), and v is a double; Storage says how p and exp_avg are stored. A
/// step passes over g twice.
///
/// NaN in a gradient makes v NaN, and with it the whole tensor. An infinite gradient makes v infinite and its
/// element NaN; all others then move by their momentum and the decay alone, in all later steps too.
/// NonFinite::skip leaves such steps out.
///
/// describe() has units and ranges of the hyperparameters.
struct NovoGrad {
  double lr = 1e-3;
  double beta1 = 0.95;
  double beta2 = 0.98;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool grad_averaging = false;
  bool maximize = false;

  static constexpr const char* kName = "NovoGrad";
  static constexpr bool kOwnsDecay = true;
  static constexpr int kSums = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &NovoGrad::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &NovoGrad::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &NovoGrad::beta2, rule::kUnitInterval, "Share of exp_avg_norm_sq kept per step.");
    list("eps", &NovoGrad::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a tensor of gradients of 0 gives 0 / 0 = NaN.");
    list("grad_averaging", &NovoGrad::grad_averaging,
         "Gives x the weight 1 - beta1 in exp_avg, in place of 1.");
  }

  /// The average of the tensor's squared norms.
  struct Scalars {
    double exp_avg_norm_sq;
  };
  static constexpr std::array kScalars{"exp_avg_norm_sq"};

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float lr;
    float beta1;
    float weight;  ///< Of x in exp_avg: 1, or 1 - beta1.
    float root;    ///< sqrt(exp_avg_norm_sq) + eps
    float decay;   ///< weight_decay, unless it is coupled.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr std::array kDecays{"beta1"};
    static constexpr unsigned kMeasured = rule::kGrad;
    static ONEPASS_LANE void measure(const Coefficients& /*k*/, float /*p*/, float g, float /*exp_avg*/,
                                     float (&terms)[kSums]) {
      terms[0] = g;
    }
    /// A decay that is off adds nothing: 0 * Inf would be NaN.
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg) {
      const float normal = g / k.root;
      const float x = k.decay != 0.0f ? lane::fma(k.decay, p, normal) : normal;
      exp_avg = lane::fma(k.beta1, exp_avg, k.weight * x);
      return k.lr * exp_avg;
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once, but for the root,
  /// which finish() knows.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/, Scalars& /*carried*/) const {
    const bool is_coupled = weight_decay_mode == WeightDecay::coupled;
    return {.lr = static_cast<float>(lr),
            .beta1 = static_cast<float>(beta1),
            .weight = static_cast<float>(grad_averaging ? 1.0 - beta1 : 1.0),
            .root = 1.0f,
            .decay = is_coupled ? 0.0f : static_cast<float>(weight_decay)};
  }

  /// Moves exp_avg_norm_sq and computes the root, given the squares of g.
  ONEPASS_LANE void finish(std::int64_t step, const rule::Sums<kSums>& sums, Scalars& carried,
                           Coefficients& k) const {
    const double fresh = sums.total[0];
    carried.exp_avg_norm_sq = step == 1 ? fresh : beta2 * carried.exp_avg_norm_sq + (1.0 - beta2) * fresh;
    k.root = static_cast<float>(lane::sqrt(carried.exp_avg_norm_sq) + eps);
  }

  /// Throws InvalidArgument for a decay that the rule has not.
  void check() const { rule::require_own_decay(kName, weight_decay_mode); }

  /// Lists the presets.
  static void presets(auto& list) {
    list("optax", optax(), "optax.novograd has shorter averages and a larger eps.");
  }
  /// optax.novograd. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr NovoGrad optax() { return {.beta1 = 0.9, .beta2 = 0.25, .eps = 1e-6}; }
};

}  // namespace onepass
