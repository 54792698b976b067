// stable_adamw.hpp - StableAdamW: AdamW whose learning rate falls for a tensor with surprising gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// StableAdamW. t is the parameter's own step number, starting at 1.
///
///     b1 = beta1 * (1 - beta1^(t-1)) / (1 - beta1^t)             0 on the first step
///     b2 = beta2 * (1 - beta2^(t-1)) / (1 - beta2^t)
///     exp_avg    = b1 * exp_avg + (1 - b1) * g
///     exp_avg_sq = b2 * exp_avg_sq + (1 - b2) * g^2
///     rms = sqrt(mean(g^2 / max(exp_avg_sq, eps^2)))
///     rate = lr / max(1, rms)
///     p = p - rate * (exp_avg / (sqrt(exp_avg_sq) + eps) + weight_decay * p)
///
/// The mean is over the tensor. The averages with b1 and b2 are Adam's after its bias correction. g is the
/// gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of the other mode,
/// decoupled, is the one in the last line, at the tensor's own rate; this rule has no other.
///
/// Source: Wortsman et al. 2023, arXiv 2304.13013, algorithm 2, in the form of torch-optimi, whose defaults
/// these are. Deviations: none.
///
/// Use: as AdamW, where the loss has spikes: a tensor whose gradients are suddenly larger than their average
/// takes a shorter step. It replaces clipping by the norm.
///
/// Shapes: p, g and the states have equal numel, and the mean runs over all of it. The arithmetic is in
/// float32, that of the sum is exact (rule/sums.hpp); Storage says how p and the states are stored. A step
/// passes over g and exp_avg_sq twice.
///
/// Inf and NaN in a gradient make their element NaN. rms is NaN then, and the rate of the others is lr, in
/// all later steps too. The square of a gradient beyond 1.8e19 overflows float32: exp_avg_sq becomes Inf, and
/// NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct StableAdamW {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double eps = 1e-6;
  double weight_decay = 0.01;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "StableAdamW";
  static constexpr bool kOwnsDecay = true;
  static constexpr int kSums = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &StableAdamW::lr, rule::kNonnegative, "Learning rate: parameter units per step, at most.");
    list("beta1", &StableAdamW::beta1, rule::kUnitInterval,
         "Share of exp_avg kept per step, after many steps.");
    list("beta2", &StableAdamW::beta2, rule::kUnitInterval,
         "Share of exp_avg_sq kept per step, after many steps.");
    list("eps", &StableAdamW::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float rate;
    float decay;           ///< rate * weight_decay, 0 if coupled.
    float share1, share2;  ///< 1 - b1 and 1 - b2
    float eps;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<1>;
    static ONEPASS_LANE void measure(const Coefficients& k, float /*p*/, float g, float /*exp_avg*/,
                                     float exp_avg_sq, float (&terms)[kSums]) {
      terms[0] = g / lane::at_least(k.eps, lane::sqrt(lane::lerp(exp_avg_sq, g * g, k.share2)));
    }
    /// A decay that is off adds nothing: 0 * Inf would be NaN.
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.share1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.share2);
      const float step = k.rate * (exp_avg / (lane::sqrt(exp_avg_sq) + k.eps));
      return k.decay != 0.0f ? lane::fma(k.decay, p, step) : step;
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once. The rate is that of
  /// a tensor whose rms is at most 1.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.rate = static_cast<float>(lr),
            .decay = static_cast<float>(lr * own_decay()),
            .share1 = static_cast<float>((1.0 - beta1) / (1.0 - lane::power(beta1, step))),
            .share2 = static_cast<float>((1.0 - beta2) / (1.0 - lane::power(beta2, step))),
            .eps = static_cast<float>(eps)};
  }

  /// Computes the rate, given the squares of g / max(sqrt(exp_avg_sq), eps).
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Coefficients& k) const {
    const double rms = sums.root_mean_square(0);
    const double rate = rms > 1.0 ? lr / rms : lr;
    k.rate = static_cast<float>(rate);
    k.decay = static_cast<float>(rate * own_decay());
  }

  /// Throws InvalidArgument for a decay that the rule has not.
  void check() const { rule::require_own_decay(kName, weight_decay_mode); }

 private:
  [[nodiscard]] ONEPASS_LANE double own_decay() const {
    return weight_decay_mode == WeightDecay::coupled ? 0.0 : weight_decay;
  }
};

}  // namespace onepass
