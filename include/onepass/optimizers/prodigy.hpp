// prodigy.hpp - Prodigy: Adam that finds its own learning rate.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Prodigy. All its parameters in an optimizer share d, an estimate of the distance from the first parameters
/// to the solution, which begins at d0. p0 is the parameter before its first step, and k the number of steps
/// that changed d.
///
///     rate       = d * lr                                        * sqrt(1 - beta2^(k + 1)) /
///                                                                (1 - beta1^(k + 1)) if use_bias_correction
///     numerator  = beta3 * numerator + (d / d0) * rate * sum(g * (p0 - p))
///     s          = beta3 * s + (d / d0) * rate * g               d in place of rate if safeguard_warmup
///     d_hat      = d_coef * numerator / sum(|s|)
///     d_max      = max(d_max, d_hat)
///     d_next     = min(d_max, d * growth_rate)
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * d * g
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (d * g)^2
///     p = p - rate * (exp_avg / (sqrt(exp_avg_sq) + d_next * eps) + weight_decay * p)
///
/// The sums run over all parameters that have a gradient, with the old p and the new s. Before d has left d0,
/// d_hat takes the place of d in the last minimum if it is larger. If all s are 0, the step changes nothing
/// else. g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of the
/// other mode, decoupled, is the one in p; this rule has no other.
///
/// Source: Mishchenko and Defazio 2023, arXiv 2306.06101, algorithm 4, as in prodigyopt 1.1 with slice_p 1,
/// whose names and defaults these are. Deviations: groups may have different learning rates, and each counts
/// with its own; one with lr 0 keeps its states, as there. d0, d_coef, growth_rate and the betas should be
/// the same in all groups: their parameters share the d that the first of them has found.
///
/// Use: where a search for the learning rate costs too much. Keep lr at 1 and let a schedule multiply it;
/// d_coef makes d larger or smaller.
///
/// Shapes: p, g and the states have equal numel. The arithmetic is in float32, that of the sums is exact
/// (rule/sums.hpp), and d, d_max, numerator and k are doubles, of which each parameter keeps a copy; s and p0
/// are float32 in every format. A step passes over p, g, s and p0 twice.
///
/// NaN in a gradient makes numerator NaN, and d keeps its value from then on; Inf does so too.
/// NonFinite::skip leaves such steps out. The square of d * g beyond 1.8e19 overflows float32.
///
/// describe() has units and ranges of the hyperparameters.
struct Prodigy {
  double lr = 1.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double beta3 = 0.0;
  double eps = 1e-8;
  double d0 = 1e-6;
  double d_coef = 1.0;
  double growth_rate = __builtin_huge_val();
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool use_bias_correction = false;
  bool safeguard_warmup = false;
  bool maximize = false;

  static constexpr const char* kName = "Prodigy";
  static constexpr bool kOwnsDecay = true;
  static constexpr int kSums = 3;
  static constexpr bool kSumsMagnitudes = true;
  static constexpr bool kSumsOverModel = true;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Prodigy::lr, rule::kNonnegative, "Factor of the learning rate d that the rule finds.");
    list("beta1", &Prodigy::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &Prodigy::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("beta3", &Prodigy::beta3, rule::kUnitInterval,
         "Share of s and of the numerator of d kept per step. 0: sqrt(beta2).");
    list("eps", &Prodigy::eps, rule::kEps,
         "Gradient units, outside the root, times d. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    list("d0", &Prodigy::d0, rule::kPositive, "First d: parameter units per step, below the right one.");
    list("d_coef", &Prodigy::d_coef, rule::kNonnegative, "Factor of the estimate of d.");
    list("growth_rate", &Prodigy::growth_rate, rule::kGrowth, "Largest factor by which d grows in a step.");
    list("use_bias_correction", &Prodigy::use_bias_correction,
         "Corrects the moments for their start at 0, as Adam does.");
    list("safeguard_warmup", &Prodigy::safeguard_warmup,
         "Leaves lr out of s, so that a warm-up does not make d too large.");
  }

  /// What all parameters share.
  struct Scalars {
    double d, d_max, d_numerator, k;
  };
  static constexpr std::array kScalars{"d", "d_max", "d_numerator", "k"};

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float rate;
    float d;
    float one_minus_beta1, one_minus_beta2, beta3;
    float of_numerator;  ///< Factor of g * (p0 - p).
    float of_s;          ///< Factor of g in s.
    float eps;           ///< d_next * eps
    float decay;         ///< rate * weight_decay, unless it is coupled.
    lane::Flag begins;   ///< This is the parameter's first step.
    lane::Flag moves;    ///< lr is not 0, nor are all s.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq", "s", "p0"};
    static constexpr std::array<const char*, 4> kDecays{"beta1", "beta2", nullptr, nullptr};
    static constexpr unsigned kNonnegative = 0b0010;
    static constexpr unsigned kFloat32 = 0b1100;
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad | rule::kState<2> | rule::kState<3>;
    static ONEPASS_LANE float next_s(const Coefficients& k, float g, float s) {
      return lane::select(k.moves, lane::fma(k.beta3, s, k.of_s * g), s);
    }
    /// The terms are the positive and the negative part of the numerator's, and |s|.
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float /*exp_avg*/,
                                     float /*exp_avg_sq*/, float s, float p0, float (&terms)[kSums]) {
      const float way = lane::select(k.begins, p, p0) - p;
      const float term = k.of_numerator * (g * way);
      const float positive = term < 0.0f ? 0.0f : term;  // NaN stays NaN
      terms[0] = lane::select(k.moves, positive, 0.0f);
      terms[1] = lane::select(k.moves, term < 0.0f ? -term : 0.0f, 0.0f);
      terms[2] = lane::select(k.moves, next_s(k, g, s), 0.0f);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg,
                                     float& exp_avg_sq, float& s, float& p0) {
      const float x = k.d * g;
      exp_avg = lane::select(k.moves, lane::lerp(exp_avg, x, k.one_minus_beta1), exp_avg);
      exp_avg_sq = lane::select(k.moves, lane::lerp(exp_avg_sq, x * x, k.one_minus_beta2), exp_avg_sq);
      s = next_s(k, g, s);
      p0 = lane::select(k.begins, p, p0);
      const float step = k.rate * (exp_avg / (lane::sqrt(exp_avg_sq) + k.eps));
      const float whole = k.decay != 0.0f ? lane::fma(k.decay, p, step) : step;
      return lane::select(k.moves, whole, 0.0f);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  [[nodiscard]] ONEPASS_LANE double kept_of_s() const { return beta3 != 0.0 ? beta3 : lane::sqrt(beta2); }

  /// Computes the coefficients of a parameter's step in double and rounds each of them once, but for eps,
  /// which finish() knows.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& shared) const {
    if (shared.k == 0.0) shared = {d0, d0, 0.0, 0.0};
    const double d = shared.d;
    const auto t = static_cast<std::int64_t>(shared.k) + 1;
    const double correction =
        use_bias_correction ? lane::sqrt(1.0 - lane::power(beta2, t)) / (1.0 - lane::power(beta1, t)) : 1.0;
    const double rate = d * lr * correction;
    const bool is_coupled = weight_decay_mode == WeightDecay::coupled;
    return {.rate = static_cast<float>(rate),
            .d = static_cast<float>(d),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .beta3 = static_cast<float>(kept_of_s()),
            .of_numerator = static_cast<float>(d / d0 * rate),
            .of_s = static_cast<float>(d / d0 * (safeguard_warmup ? d : rate)),
            .eps = static_cast<float>(d * eps),
            .decay = is_coupled ? 0.0f : static_cast<float>(rate * weight_decay),
            .begins = step == 1 ? 1u : 0u,
            .moves = lr != 0.0 ? 1u : 0u};
  }

  /// Moves d and what belongs to it, given the sums over the model.
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Scalars& shared,
                           Coefficients& k) const {
    if (sums.total[2] == 0.0) {
      k.moves = 0u;
      return;
    }
    const double numerator = kept_of_s() * shared.d_numerator + (sums.total[0] - sums.total[1]);
    const double d_hat = d_coef * numerator / sums.total[2];
    const double d = shared.d == d0 && d_hat > d0 ? d_hat : shared.d;
    const double d_max = d_hat > shared.d_max ? d_hat : shared.d_max;
    const double limit = d * growth_rate;
    shared = {limit < d_max ? limit : d_max, d_max, numerator, shared.k + 1.0};
    k.eps = static_cast<float>(shared.d * eps);
  }

  /// Throws InvalidArgument for a decay that the rule has not.
  void check() const { rule::require_own_decay(kName, weight_decay_mode); }
};

}  // namespace onepass
